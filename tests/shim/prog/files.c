// Files and pipes into and out of connections.
#include "prog.h"

#include <sys/sendfile.h>

static int l, port, peer, fd;

static void expect(const char *name, size_t n)
{
    char *b = calloc(1, n + 1);
    size_t got = 0;
    unsigned sum = 0;
    while (got < n) {
        ssize_t r = read(peer, b + got, n - got);
        must(r > 0, "expect");
        got += (size_t)r;
    }
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)b[i];
    show(name, "%zu %u", got, sum);
    free(b);
}

#define BULK (3 << 20)

static char octet(long i) { return (char)(i * 7 + (i >> 12)); }

static void *feed(void *to)
{
    static char b[50000];
    for (long at = 0; at < BULK;) {
        long n = BULK - at < (long)sizeof b ? BULK - at : (long)sizeof b;
        for (long i = 0; i < n; i++)
            b[i] = octet(at + i);
        must(write(*(int *)to, b, (size_t)n) == n, "feed");
        at += n;
    }
    shutdown(*(int *)to, SHUT_WR);
    return NULL;
}

static void *check(void *from)
{
    static char b[50000];
    long good = 0;
    for (ssize_t n; (n = read(*(int *)from, b, sizeof b)) > 0;)
        for (ssize_t i = 0; i < n && b[i] == octet(good); i++)
            good++;
    show("spliced", "%ld", good);
    return NULL;
}

// proxy passes a stream on from one connection to another by splice. The first octets were received, and sent, before.
static void proxy(int p[2])
{
    int to, other, from = pair(l, port, &other), out = pair(l, port, &to);
    pthread_t t, u;
    char b[5000];
    pthread_create(&t, NULL, feed, &other), pthread_create(&u, NULL, check, &to);
    must(recv(from, b, sizeof b, MSG_WAITALL) == sizeof b && write(out, b, sizeof b) == sizeof b, "by hand");
    for (ssize_t n, m; (n = splice(from, NULL, p[1], NULL, 60000, 0)) > 0;)
        for (; n > 0; n -= m)
            must((m = splice(p[0], NULL, out, NULL, (size_t)n, SPLICE_F_MORE)) > 0, "splice");
    close(out);
    pthread_join(t, NULL), pthread_join(u, NULL);
    close(from), close(to), close(other);
}

int main(void)
{
    char path[] = "/tmp/slt-filesXXXXXX";
    static char b[200000];
    int file = mkstemp(path), p[2];
    must(file >= 0 && unlink(path) == 0 && pipe(p) == 0, "files");
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (char)(i * 13);
    must(write(file, b, sizeof b) == sizeof b, "write");
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    off_t at = 1000;
    result("sendfile at", sendfile(fd, file, &at, 5000));
    show("offset", "%ld", (long)at);
    show("position", "%ld", (long)lseek(file, 0, SEEK_CUR));
    expect("got", 5000);
    lseek(file, 100, SEEK_SET);
    result("sendfile", sendfile(fd, file, NULL, 70000));
    show("position", "%ld", (long)lseek(file, 0, SEEK_CUR));
    expect("got", 70000);
    at = 65536;
    result("sendfile to end", sendfile64(fd, file, &at, 1 << 20));
    expect("got", sizeof b - 65536);
    result("sendfile at end", sendfile(fd, file, &at, 10));
    at = -5;
    result("sendfile bad", sendfile(fd, file, &at, 10));
    result("sendfile no file", sendfile(fd, 999, NULL, 10));
    result("copy_file_range", copy_file_range(file, NULL, fd, NULL, 10, 0));
    result("tee", tee(fd, p[1], 5, 0));
    result("mmap", (long)(write(fd, "m", 1)));
    expect("got", 1);
    must(write(p[1], "through a pipe", 14) == 14, "pipe");
    result("splice out", splice(p[0], NULL, fd, NULL, 14, 0));
    expect("got", 14);
    must(write(peer, "back", 4) == 4, "back");
    result("splice in", splice(fd, NULL, p[1], NULL, 100, 0));
    result("pipe", read(p[0], b, 100));
    proxy(p);
    return 0;
}
