// Urgent data in every way: out of band, in line, peeked at, announced by poll, by a signal.
#include "../prog.h"

static int l, port, peer, fd;

static void urgent(const char *before, const char *s)
{
    must(write(peer, before, strlen(before)) == (ssize_t)strlen(before), "before");
    must(send(peer, s, strlen(s), MSG_OOB) == (ssize_t)strlen(s), "urgent");
    int n = 0;
    UNTIL(ioctl(peer, TIOCOUTQ, &n) == 0 && n == 0); // acknowledged: it is there
    nap(5);
}

static void look(const char *name)
{
    int n = -1;
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND };
    poll(&p, 1, 0);
    ioctl(fd, FIONREAD, &n);
    show(name, "events %x, mark %d, to read %d", p.revents, sockatmark(fd), n);
}

static void got(const char *name, size_t n, int flags)
{
    char b[32] = "";
    struct iovec v = { b, n };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    ssize_t r = recvmsg(fd, &m, flags);
    show(name, "%zd %s \"%s\" flags %x", r, r < 0 ? strerrorname_np(errno) : "", b, r < 0 ? 0 : m.msg_flags);
}

static void out_of_band(void)
{
    got("none", 8, MSG_OOB);
    urgent("abc", "xyz");
    look("three and three");
    got("peeked", 8, MSG_OOB | MSG_PEEK);
    got("urgent, no room", 0, MSG_OOB);
    got("urgent", 8, MSG_OOB);
    got("urgent again", 8, MSG_OOB);
    look("urgent taken");
    got("up to the mark", 32, MSG_DONTWAIT);
    look("at the mark");
    must(write(peer, "after", 5) == 5, "after");
    got("after", 5, MSG_WAITALL);
    urgent("", "1");
    urgent("", "2"); // the first becomes ordinary
    look("two urgent");
    got("second", 4, MSG_OOB);
    got("first", 4, MSG_DONTWAIT);
    look("nothing left");
    urgent("skip", "u");
    got("peek stops at the mark", 32, MSG_PEEK | MSG_DONTWAIT);
    got("all before", 32, MSG_DONTWAIT);
    must(write(peer, "more", 4) == 4, "more");
    got("past the mark", 4, MSG_WAITALL);
    got("gone", 4, MSG_OOB);
    urgent("abcdef", "!");
    got("part", 4, MSG_DONTWAIT);
    got("waitall over the mark", 3, MSG_DONTWAIT | MSG_WAITALL);
    got("urgent", 1, MSG_OOB);
}

static void in_line(void)
{
    int on = 1;
    result("oobinline", setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    urgent("abc", "de");
    look("in line");
    got("refused", 4, MSG_OOB);
    got("before", 32, MSG_DONTWAIT);
    look("at the mark");
    got("urgent", 32, MSG_DONTWAIT);
    look("behind");
    on = 0;
    result("oobinline off", setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    urgent("", "z");
    got("urgent", 32, MSG_OOB);
}

static void other_way(void)
{
    char b[16] = "";
    result("send", send(fd, "hello!", 6, MSG_OOB));
    struct pollfd p = { .fd = peer, .events = POLLPRI };
    result("announced", poll(&p, 1, 15000));
    result("urgent", recv(peer, b, 8, MSG_OOB));
    show("octet", "%s", b);
    result("ordinary", recv(peer, b, 5, MSG_WAITALL));
    result("send nothing", send(fd, "", 0, MSG_OOB));
}

static volatile sig_atomic_t told;
static void on_urgent(int sig) { told += sig == SIGURG; }

static void by_signal(void)
{
    struct sigaction sa = { .sa_handler = on_urgent, .sa_flags = SA_RESTART };
    sigaction(SIGURG, &sa, NULL);
    result("setown", fcntl(fd, F_SETOWN, getpid()));
    result("getown", fcntl(fd, F_GETOWN) == getpid());
    urgent("a", "b");
    UNTIL(told > 0);
    show("told", "%d", told);
    got("before", 4, MSG_DONTWAIT);
    got("urgent", 4, MSG_OOB);
}

int main(void)
{
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    int one = 1;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    out_of_band();
    in_line();
    other_way();
    by_signal();
    return 0;
}
