// TCP_CORK: what is written under it arrives whole and in order, once, whatever else happens to the connection meanwhile.
#include <sys/sendfile.h>

#include "prog.h"

static int fd, peer;

static void cork(int on) { must(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0, "cork"); }
static void put(const char *s) { must(write(fd, s, strlen(s)) == (ssize_t)strlen(s), "put"); }

static void take(const char *name, size_t n)
{
    static char b[70000];
    unsigned sum = 0;
    ssize_t r = recv(peer, b, n, MSG_WAITALL);
    for (ssize_t i = 0; i < r; i++)
        sum = sum * 31 + (unsigned char)b[i];
    show(name, "%zd octets, sum %u, begins %.12s", r, sum, b);
}

static int page(size_t n)
{
    char name[] = "/tmp/slt-cork-XXXXXX";
    int file = mkstemp(name);
    must(file >= 0 && unlink(name) == 0, "page");
    for (size_t i = 0; i < n; i++) {
        char c = (char)('a' + i % 23);
        must(write(file, &c, 1) == 1, "fill");
    }
    return file;
}

static void answers(void)
{
    struct iovec v[2] = { { "head one ", 9 }, { "head two ", 9 } };
    int small = page(600), large = page(60000);
    for (int i = 0; i < 3; i++) {
        off_t at = 0;
        cork(1);
        must(writev(fd, v, 2) == 18, "writev");
        must(sendfile(fd, i < 2 ? small : large, &at, i < 2 ? 600 : 60000) > 0, "sendfile");
        for (size_t size = i < 2 ? 600 : 60000; at < (off_t)size;)
            must(sendfile(fd, large, &at, size - (size_t)at) > 0, "sendfile on");
        cork(0);
        take(i < 2 ? "small answer" : "large answer", i < 2 ? 618 : 60018);
    }
    close(small), close(large);
}

static void between(void)
{
    int on = 0, left = 0;
    socklen_t n = sizeof on;
    char b[16] = "";
    cork(1), put("corked ");
    result("option", getsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, &n));
    show("cork is", "%d", on);
    put("and more ");
    result("unsent", ioctl(fd, TIOCOUTQ, &left)); // SIOCOUTQ
    show("waits", "%d", left);
    cork(0);
    take("after questions", 16);
    cork(1), put("question? ");
    must(write(peer, "yes", 3) == 3, "write");
    UNTIL(recv(fd, b, sizeof b, MSG_DONTWAIT) == 3);
    put(b), cork(0);
    take("after an answer", 13);
    int other = dup(fd);
    cork(1), put("one ");
    must(write(other, "two ", 4) == 4, "write to the other");
    cork(0), put("three");
    take("by two descriptors", 13);
    close(other);
    cork(1), cork(1), put("twice"), cork(0), cork(0);
    take("corked twice", 5);
    cork(1), cork(0), put("nothing");
    take("under no cork", 7);
}

static void *writes(void *s)
{
    put(s);
    return NULL;
}

static void others(void)
{
    pthread_t t;
    cork(1), put("main ");
    must(pthread_create(&t, NULL, writes, "thread ") == 0 && pthread_join(t, NULL) == 0, "thread");
    put("main"), cork(0);
    take("by two threads", 16);
    cork(1), put("before ");
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    must(waitpid(child, NULL, 0) == child, "waitpid");
    put("after"), cork(0);
    take("around a fork", 12);
    cork(1), put("late ");
    nap(300); // the kernel waits no longer than 200 ms
    take("while it waits", 5);
    cork(0);
    cork(1), put("end");
    shutdown(fd, SHUT_WR);
    take("at the end", 3);
}

int main(void)
{
    int port, l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    answers();
    between();
    others();
    close(fd), close(peer);
    fd = pair(l, port, &peer);
    cork(1), put("closed");
    close(fd);
    take("closed", 10);
    return 0;
}
