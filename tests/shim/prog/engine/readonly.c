// What a call fills in lies where nothing can be written, or nothing is at all.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>

#include "../prog.h"

static int l, port, peer, fd;
static char *pages; // one to write, one to read only, and no third
static void *volatile nowhere = (void *)8;

static void *at_end(const void *what, size_t n) { return memcpy(pages + 4096 - n, what, n); }

// fixed: n octets that cannot be written, and what they are.
static void *fixed(const void *what, size_t n)
{
    must(mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE) == 0, "mprotect");
    memcpy(pages + 4096, what, n);
    must(mprotect(pages + 4096, 4096, PROT_READ) == 0, "mprotect");
    return pages + 4096;
}

static void give(const char *text)
{
    char b[64];
    int n = (int)strlen(text);
    must(write(peer, text, (size_t)n) == n, "give");
    UNTIL(recv(fd, b, (size_t)n, MSG_PEEK | MSG_DONTWAIT) == n);
}

static void rest(void)
{
    char b[64] = "";
    show("left", "%zd %s", recv(fd, b, sizeof b - 1, MSG_DONTWAIT), b);
}

static void got(size_t n)
{
    char b[64] = "";
    ssize_t r = recv(peer, b, n, MSG_WAITALL);
    nap(20);
    show("peer got", "%zd %s, then %zd", r, b, recv(peer, b, sizeof b - 1, MSG_DONTWAIT));
}

static void polls(void)
{
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = fd, .events = POLLIN | POLLOUT } }, *q;
    give("x");
    result("poll", poll(fixed(p, sizeof p), 2, 0));
    result("poll in vain", poll(fixed((struct pollfd[]){ { .fd = fd, .events = POLLPRI } }, sizeof *p), 1, 0));
    result("ppoll", ppoll(fixed(p, sizeof p), 2, &(struct timespec){ 0, 0 }, NULL));
    q = at_end(p, sizeof p); // the next page can't be written
    memcpy(pages + 4096 - sizeof *p, p, sizeof *p);
    fixed(p, sizeof *p);
    q[1].revents = 77;
    result("poll across", poll(q + 1, 2, 0));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    result("select", select(fd + 1, fixed(&set, sizeof set), NULL, NULL, &(struct timeval){ 0, 0 }));
    result("select write", select(fd + 1, NULL, fixed(&set, sizeof set), NULL, NULL));
    result("pselect", pselect(fd + 1, fixed(&set, sizeof set), NULL, NULL, &(struct timespec){ 0, 0 }, NULL));
    result("a mask", pselect(fd + 1, &set, NULL, NULL, NULL, (void *)16));
    rest();
}

static void epolls(void)
{
    int ep = epoll_create1(0), other[2];
    struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 5 }, *q;
    must(pipe(other) == 0 && write(other[1], "x", 1) == 1, "pipe");
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "add");
    result("nothing", epoll_wait(ep, fixed(&ev, sizeof ev), 4, 0));
    give("y");
    result("epoll_wait", epoll_wait(ep, fixed(&ev, sizeof ev), 4, 1000));
    result("epoll_pwait2", epoll_pwait2(ep, fixed(&ev, sizeof ev), 4, NULL, NULL));
    result("nowhere", epoll_wait(ep, nowhere, 4, 1000));
    must(epoll_ctl(ep, EPOLL_CTL_ADD, other[0], &ev) == 0, "add a pipe");
    q = at_end(&ev, sizeof ev);
    result("one has room", epoll_wait(ep, q, 4, 1000));
    result("the next", epoll_wait(ep, q, 4, 1000));
    result("a mask", epoll_pwait(ep, &ev, 1, 1000, (void *)16));
    ev.events = EPOLLIN | EPOLLET;
    must(epoll_ctl(ep, EPOLL_CTL_DEL, other[0], NULL) == 0 && epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) == 0, "edge");
    result("an edge", epoll_wait(ep, fixed(&ev, sizeof ev), 4, 1000));
    result("an edge kept", epoll_wait(ep, &ev, 1, 1000));
    result("an edge told", epoll_wait(ep, &ev, 1, 0));
    rest();
    close(ep), close(other[0]), close(other[1]);
}

static void many(void)
{
    char b[4][8] = { "" };
    struct iovec v[] = { { b[0], 3 }, { b[1], 3 }, { (char *)8, 3 } }, out[] = { { "abc", 3 }, { "def", 3 }, { (char *)8, 3 } };
    struct mmsghdr m[3] = { 0 };
    for (int i = 0; i < 3; i++)
        m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1 };
    give("0123456789");
    result("recvmmsg", recvmmsg(fd, fixed(m, sizeof m), 2, MSG_DONTWAIT, NULL));
    rest();
    give("0123456789");
    struct mmsghdr *q = at_end(m, sizeof m[0]);
    fixed(&m[1], sizeof m[1]);
    result("recvmmsg, the second", recvmmsg(fd, q, 2, MSG_DONTWAIT, NULL));
    rest(); // ten octets less what it took
    rest(); // the error, kept
    give("0123456789");
    result("recvmmsg, the time", recvmmsg(fd, m, 1, MSG_DONTWAIT, fixed(&(struct timespec){ 1, 0 }, sizeof(struct timespec))));
    rest();
    for (int i = 0; i < 3; i++)
        m[i].msg_hdr.msg_iov = &out[i];
    result("sendmmsg", sendmmsg(fd, fixed(m, sizeof m), 2, 0));
    got(3);
    result("sendmmsg, the third", sendmmsg(fd, m, 3, 0));
    got(6);
    q = at_end(m, sizeof m[0]);
    fixed(&m[1], sizeof m[1]);
    result("sendmmsg, where the second is", sendmmsg(fd, q, 2, 0));
    got(6);
}

static void one(void)
{
    char b[8] = "";
    struct iovec v[] = { { b, 4 }, { (char *)8, 4 } };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 1 };
    give("0123456789");
    result("recvmsg", recvmsg(fd, fixed(&m, sizeof m), 0));
    rest();
    give("0123456789");
    result("readv", readv(fd, v, 2));
    m.msg_iovlen = 2;
    result("peek", recvmsg(fd, &m, MSG_PEEK));
    result("all", recvmsg(fd, &m, MSG_WAITALL));
    rest();
    int file = open("/proc/self/exe", O_RDONLY);
    off_t start = 0;
    result("sendfile", sendfile(fd, file, fixed(&start, sizeof start), 4));
    show("peer got", "%zd", recv(peer, b, 4, MSG_WAITALL));
    close(file);
}

static void names(void)
{
    struct sockaddr_in sa;
    socklen_t room = sizeof sa;
    struct pollfd p = { .fd = l, .events = POLLIN };
    void *where[] = { (void *)8, pages + 4096 };
    fixed("", 1);
    for (int i = 0; i < 2; i++) {
        char c;
        int other = dial(port);
        must(poll(&p, 1, 10000) == 1, "a connection");
        result("accept", accept(l, where[i], &room));
        show("its peer reads", "%zd", recv(other, &c, 1, 0));
        close(other);
        other = dial(port);
        must(poll(&p, 1, 10000) == 1, "a connection");
        result("accept, the length", accept(l, (void *)&sa, i ? fixed(&room, sizeof room) : where[0]));
        show("its peer reads", "%zd", recv(other, &c, 1, 0));
        close(other);
        result("none waits", poll(&p, 1, 0));
    }
    int value = 1;
    socklen_t n = sizeof value;
    result("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, fixed(&value, sizeof value), &n));
    result("getsockopt, the length", getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, fixed(&n, sizeof n)));
    result("getsockname", getsockname(fd, (void *)&sa, fixed(&room, sizeof room)));
    result("FIONREAD", ioctl(fd, FIONREAD, fixed(&value, sizeof value)));
}

int main(void)
{
    pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(munmap(pages + 2 * 4096, 4096) == 0, "munmap");
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    must(fcntl(l, F_SETFL, O_NONBLOCK) == 0, "nonblock");
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) == 0, "nodelay");
    one();
    many();
    polls();
    epolls();
    names();
    return 0;
}
