// Descriptors: numbers, duplicates, flags, closing.
#include "prog.h"

#include <linux/close_range.h>
#include <sys/resource.h>

static int l, port, peer, fd;

static void flags(int d)
{
    show("getfl", "%o", fcntl(d, F_GETFL));
    show("getfd", "%o", fcntl(d, F_GETFD));
}

static void kind(int d)
{
    struct stat st;
    result("fstat", fstat(d, &st));
    show("socket", "%d", S_ISSOCK(st.st_mode));
}

static void duplicates(void)
{
    char b[8];
    int d = dup(fd), e = dup2(fd, 50), f = dup3(fd, 51, O_CLOEXEC), g = fcntl(fd, F_DUPFD, 60), h = fcntl(fd, F_DUPFD_CLOEXEC, 60);
    show("numbers", "%d %d %d %d %d", d - fd, e, f, g, h);
    flags(f), flags(g), flags(h);
    result("setfl", fcntl(d, F_SETFL, O_NONBLOCK));
    flags(fd); // one description: all of them
    result("read", read(e, b, 8));
    result("setfl", fcntl(e, F_SETFL, 0));
    int one = 1;
    result("fionbio", ioctl(f, FIONBIO, &one));
    flags(fd);
    one = 0;
    result("fionbio", ioctl(fd, FIONBIO, &one));
    result("close", close(fd));
    result("write", write(peer, "dup", 3));
    result("read", read(h, b, 8));
    result("same", dup2(d, d));
    result("dup3 same", dup3(d, d, 0));
    result("dup2 bad", dup2(999, d));
    result("dup2 far", dup2(d, -1));
    close(d), close(e), close(f), close(g);
    result("still", write(h, "x", 1));
    result("peer", read(peer, b, 8));
    close(h);
    result("end", read(peer, b, 8));
    close(peer);
}

static void ranges(void)
{
    char b[8];
    fd = pair(l, port, &peer);
    int keep = fcntl(peer, F_DUPFD, 40), hold = dup2(fd, 41);
    close(fd), close(peer);
    result("cloexec", close_range(40, 45, CLOSE_RANGE_CLOEXEC));
    flags(hold);
    result("write", write(hold, "y", 1));
    result("read", read(keep, b, 8));
    result("close_range", close_range(41, 4000000, 0));
    result("gone", write(hold, "y", 1));
    result("end", read(keep, b, 8));
    result("bad range", close_range(5, 4, 0));
    fd = pair(l, port, &peer);
    dup2(fd, 200);
    close(fd);
    closefrom(100);
    result("end", read(peer, b, 8));
    result("listener lives", listen(l, 5));
    close(peer);
    fd = pair(l, port, &peer);
    result("write", write(fd, "z", 1));
    close(fd), close(peer);
    for (int i = 3; i < 4096; i++)
        if (i != l && i != keep)
            close(i); // as daemons do
    fd = pair(l, port, &peer);
    result("write", write(fd, "z", 1));
    close(fd), close(peer);
}

static void reuse(void)
{
    char b[8];
    fd = pair(l, port, &peer);
    int was = fd;
    close(fd);
    fd = open("/dev/null", O_RDWR);
    show("lowest again", "%d", fd == was);
    result("null", read(fd, b, 8));
    result("null", write(fd, b, 8));
    int p[2];
    must(pipe(p) == 0, "pipe");
    result("dup over", dup2(p[1], fd));
    result("write", write(fd, "pipe", 4));
    result("read", read(p[0], b, 8));
    close(fd), close(p[0]), close(p[1]), close(peer);
}

static void limits(void)
{
    struct rlimit r = { 64, 64 };
    int n = 0, p[2];
    setrlimit(RLIMIT_NOFILE, &r);
    while (dup(l) >= 0)
        n++;
    show("full", "%d %s", n, strerrorname_np(errno));
    result("accept full", accept(l, NULL, NULL));
    result("pipe full", pipe(p));
    for (int i = 3; i < 64; i++)
        if (i != l)
            close(i);
}

int main(void)
{
    l = listener(AF_INET, &port);
    close(pair(l, port, &peer)), close(peer);
    nap(100); // for an engine's beginnings to be over: it may hold low numbers for an instant
    fd = pair(l, port, &peer);
    kind(fd), kind(l), flags(fd), flags(l);
    show("order", "%d %d", peer - l, fd - peer);
    result("bind", bind(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET }, sizeof(struct sockaddr_in)));
    result("listen", listen(fd, 1));
    result("accept", accept(fd, NULL, NULL));
    result("setfl listener", fcntl(l, F_SETFL, O_NONBLOCK));
    flags(l);
    result("accept none", accept4(l, NULL, NULL, SOCK_CLOEXEC));
    result("accept bad flags", accept4(l, NULL, NULL, 1));
    result("setfl listener", fcntl(l, F_SETFL, 0));
    flags(l);
    duplicates();
    ranges();
    reuse();
    limits();
    return 0;
}
