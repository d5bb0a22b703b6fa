// What each flag, low-water mark and time-out does to receiving and sending, and which signal a closed connection sends.
#include "../prog.h"

#include <linux/sockios.h>
#include <sys/sendfile.h>

static int l, port, peer, fd;

static void give(const char *s)
{
    int n = 0;
    must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "give");
    UNTIL(ioctl(peer, TIOCOUTQ, &n) == 0 && n == 0);
    UNTIL(ioctl(fd, FIONREAD, &n) == 0 && n >= 0);
}

static void got(const char *name, size_t n, int flags)
{
    char b[64] = "";
    ssize_t r = recv(fd, b, n, flags);
    show(name, "%zd %s \"%s\"", r, r < 0 ? strerrorname_np(errno) : "", b);
}

static int readable(int d)
{
    struct pollfd p = { .fd = d, .events = POLLIN | POLLRDHUP };
    poll(&p, 1, 0);
    return p.revents;
}

static void flags(void)
{
    give("abcdefghij");
    got("peek", 4, MSG_PEEK);
    got("peek trunc", 4, MSG_PEEK | MSG_TRUNC);
    got("trunc", 2, MSG_TRUNC);
    got("waitall dontwait", 20, MSG_WAITALL | MSG_DONTWAIT);
    got("peek none", 4, MSG_PEEK | MSG_DONTWAIT);
    got("errqueue", 4, MSG_ERRQUEUE);
    got("nothing wanted", 0, MSG_DONTWAIT);
    give("xy");
    got("nothing wanted, something there", 0, 0);
    got("peek nothing", 0, MSG_PEEK);
    got("odd flags", 1, MSG_CONFIRM | MSG_EOR | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC);
    got("rest", 8, MSG_DONTWAIT);
    for (int i = 0; i < 32; i++)
        if (!((1u << i) & (MSG_OOB | MSG_MORE | MSG_FASTOPEN))) {
            char name[24];
            sprintf(name, "send flag %08x", 1u << i);
            result(name, send(fd, "s", 1, (int)(1u << i)));
        }
    for (int i = 0; i < 32; i++) {
        char name[24], b[4];
        sprintf(name, "recv flag %08x", 1u << i);
        result(name, recv(fd, b, 1, (int)(1u << i) | MSG_DONTWAIT));
    }
    char b[64];
    show("came", "%zd", recv(peer, b, 29, MSG_WAITALL));
}

static void names(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = htonl(0x7f000001) };
    char b[256];
    socklen_t n = sizeof in;
    result("sendto an address", sendto(fd, "a", 1, 0, (void *)&in, sizeof in));
    result("sendto, too long", sendto(fd, "a", 1, 0, (void *)b, 200));
    result("sendto, negative", sendto(fd, "a", 1, 0, (void *)&in, (socklen_t)-1));
    give("xyz");
    result("recvfrom", recvfrom(fd, b, 1, 0, (void *)&in, &n));
    show("length", "%d", (int)n);
    n = (socklen_t)-1;
    result("recvfrom, negative", recvfrom(fd, b, 1, 0, (void *)&in, &n));
    n = 16;
    result("recvfrom, no address", recvfrom(fd, b, 1, 0, NULL, &n));
    show("length", "%d", (int)n);
    got("left", 4, MSG_DONTWAIT);
    struct iovec v = { "q", 1 };
    struct msghdr m = { .msg_name = &in, .msg_namelen = sizeof in, .msg_iov = &v, .msg_iovlen = 1 };
    result("sendmsg", sendmsg(fd, &m, 0));
    m.msg_namelen = (socklen_t)-1;
    result("sendmsg, negative", sendmsg(fd, &m, 0));
    m.msg_namelen = 200;
    result("sendmsg, too long", sendmsg(fd, &m, 0));
    m = (struct msghdr){ .msg_iovlen = 0 };
    result("sendmsg of nothing", sendmsg(fd, &m, 0));
    result("recvmsg of nothing", recvmsg(fd, &m, MSG_DONTWAIT));
    result("writev of nothing", writev(fd, &v, 0));
    result("readv of nothing", readv(fd, &v, 0));
    volatile int negative = -1;
    result("writev, negative", writev(fd, &v, negative));
    v.iov_len = (size_t)-1;
    result("writev, huge", writev(fd, &v, 1));
    result("readv, huge", readv(fd, &v, 1));
    result("write of nothing", write(fd, "", 0));
    result("send of nothing", send(fd, "", 0, 0));
    recv(peer, b, 3, MSG_WAITALL);
}

static void lowat(int v)
{
    int is = -1;
    socklen_t n = sizeof is;
    result("lowat", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v));
    getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &is, &n);
    show("lowat is", "%d", is);
}

static void low_water(void)
{
    lowat(5);
    give("abc");
    show("three of five", "%x", readable(fd));
    got("without waiting", 8, MSG_DONTWAIT | MSG_PEEK);
    give("de");
    show("five of five", "%x", readable(fd));
    got("part", 2, 0);
    show("three left", "%x", readable(fd));
    got("no more than there is room for", 2, 0);
    give("fghi");
    got("five", 8, 0);
    lowat(-1);
    give("x");
    show("never", "%x", readable(fd));
    lowat(0);
    show("again", "%x", readable(fd));
    got("x", 4, 0);
    int sl = 3;
    socklen_t n = sizeof sl;
    result("sndlowat", setsockopt(fd, SOL_SOCKET, SO_SNDLOWAT, &sl, sizeof sl));
    getsockopt(fd, SOL_SOCKET, SO_SNDLOWAT, &sl, &n);
    show("sndlowat is", "%d", sl);
    lowat(100);
    give("tail");
    shutdown(peer, SHUT_WR);
    UNTIL(readable(fd) & POLLRDHUP);
    show("an end counts", "%x", readable(fd));
    got("tail", 50, 0);
    got("end", 50, 0);
}

static long ms_of(struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
}

static void timeouts(void)
{
    static char block[1 << 20];
    struct timeval tv = { 0, 50000 };
    struct timespec t;
    result("sndtimeo", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    clock_gettime(CLOCK_MONOTONIC, &t);
    ssize_t r;
    do
        r = write(fd, block, sizeof block);
    while (r == sizeof block);
    show("a part", "%d", r > 0 && r < (ssize_t)sizeof block);
    show("waited", "%d", ms_of(&t) >= 50);
    while (send(fd, block, sizeof block, MSG_DONTWAIT) > 0) // what went out meanwhile
        ;
    clock_gettime(CLOCK_MONOTONIC, &t);
    r = write(fd, block, 1 << 16);
    show("nothing or little", "%d", (r < 0 && errno == EAGAIN) || (r > 0 && r <= 1 << 16));
    result("rcvtimeo", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    clock_gettime(CLOCK_MONOTONIC, &t);
    got("in vain", 8, 0);
    got("in vain, all", 8, MSG_WAITALL);
    show("waited", "%d", ms_of(&t) >= 100);
    give("xy");
    got("a part of all", 8, MSG_WAITALL);
    give("xy");
    got("peek a part of all", 8, MSG_WAITALL | MSG_PEEK);
    got("take", 8, 0);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    result("accept in vain", accept(l, NULL, NULL));
}

static sigset_t pipes;
static int pending(void)
{
    struct timespec none = { 0, 0 };
    siginfo_t i;
    int r = sigtimedwait(&pipes, &i, &none);
    return r < 0 ? 0 : r == SIGPIPE && i.si_code == SI_USER && i.si_pid == getpid() ? 1 : 2;
}

static void signals(void)
{
    char path[] = "/tmp/slt-flagsXXXXXX", c = 'x';
    int file = mkstemp(path), p[2];
    must(file >= 0 && unlink(path) == 0 && write(file, "file", 4) == 4 && pipe(p) == 0 && write(p[1], "pipe", 4) == 4, "file");
    sigemptyset(&pipes), sigaddset(&pipes, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipes, NULL);
    struct iovec v = { &c, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    struct mmsghdr mm = { .msg_hdr = m };
    off_t at = 0;
    shutdown(fd, SHUT_WR);
#define TRY(call) (result(#call, call), show("signal", "%d", pending()))
    TRY(write(fd, &c, 1));
    TRY(write(fd, &c, 0));
    TRY(writev(fd, &v, 1));
    TRY(send(fd, &c, 1, 0));
    TRY(send(fd, &c, 1, MSG_NOSIGNAL));
    TRY(send(fd, &c, 1, MSG_OOB));
    TRY(sendto(fd, &c, 1, MSG_DONTWAIT, NULL, 0));
    TRY(sendmsg(fd, &m, 0));
    TRY(sendmsg(fd, &m, MSG_NOSIGNAL));
    TRY(sendmmsg(fd, &mm, 1, 0));
    TRY(pwritev2(fd, &v, 1, -1, 0));
    TRY(sendfile(fd, file, &at, 4));
    TRY(splice(p[0], NULL, fd, NULL, 4, 0));
    TRY(splice(p[0], NULL, fd, NULL, 4, SPLICE_F_NONBLOCK));
}

static void fresh(void)
{
    close(fd), close(peer);
    fd = pair(l, port, &peer);
}

int main(void)
{
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    flags();
    names();
    low_water();
    fresh();
    timeouts();
    fresh();
    signals();
    return 0;
}
