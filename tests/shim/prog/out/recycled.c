// What socket() gives behind connections that have ended, whatever was done to them: a new socket. The peer is a process of its own: one that goes to
// another namespace for a moment has a new one made each time. With an argument: how many sockets the kernel made for 100 connections.
#include "../prog.h"

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>

static struct sockaddr_in to;
static uint64_t cookies[64];
static int ncookies;

static int option(int fd, int level, int name)
{
    int v = -1;
    socklen_t n = sizeof v;
    getsockopt(fd, level, name, &v, &n);
    return v;
}

// fresh shows whatever a socket may remember.
static void fresh(const char *name, int fd)
{
    struct sockaddr_in in = { 0 };
    struct linger lg = { -1, -1 };
    struct timeval tv = { -1, -1 };
    socklen_t n = sizeof in, m = sizeof lg, k = sizeof tv;
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
    int signals = -1;
    getsockname(fd, (void *)&in, &n);
    getsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, &m);
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &k);
    ioctl(fd, FIOGETOWN, &signals);
    poll(&p, 1, 0);
    struct stat st;
    must(fstat(fd, &st) == 0, "stat");
    show(name, "fd %d flags %x %x port %d linger %d timeout %ld keepalive %d nodelay %d reuse %d error %d rcvbuf %d owner %d events %x user %d", fd, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD),
        ntohs(in.sin_port), lg.l_onoff, tv.tv_sec, option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, SOL_SOCKET, SO_REUSEADDR),
        option(fd, SOL_SOCKET, SO_ERROR), option(fd, SOL_SOCKET, SO_RCVBUF), signals, p.revents, (int)st.st_uid);
}

// cookie tells whether a socket's cookie was seen before.
static void cookie(int fd)
{
    uint64_t c = 0;
    socklen_t n = sizeof c;
    must(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &c, &n) == 0, "cookie");
    for (int i = 0; i < ncookies; i++)
        if (cookies[i] == c)
            show("cookie", "seen before");
    cookies[ncookies++] = c;
}

static void on(int fd, int level, int name) { setsockopt(fd, level, name, &(int){ 1 }, sizeof(int)); }

// Each step does something to a socket before it connects, or while it is connected. WATCHED comes last: what has that number from then on is never kept.
enum { NOTHING, CLOEXEC, NONBLOCK, OPTIONS, TIMEOUT, LINGER, BOUND, COOKIE, DUPLICATE, OWNER, FORKED, UNKNOWN, SHUT, OWNED, REFUSED, USER, UNSEEN, WATCHED, STEPS };

static int ep, left[2];

static void before(int step, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT, .data.u32 = 7 };
    if (step == OPTIONS)
        on(fd, SOL_SOCKET, SO_KEEPALIVE), on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (step == BOUND)
        must(bind(fd, (void *)&(struct sockaddr_in){ .sin_family = AF_INET }, sizeof(struct sockaddr_in)) == 0, "bind");
    if (step == WATCHED)
        must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "add");
    if (step == COOKIE)
        cookie(fd);
    if (step == OWNED)
        fcntl(fd, F_SETOWN, getpid());
    if (step == REFUSED) { // the kernel's attempt, of which nobody asks what became
        fcntl(fd, F_SETFL, O_NONBLOCK);
        result("refused", connect(fd, (void *)&(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, sizeof to));
    }
}

static void meanwhile(int step, int fd)
{
    struct timeval tv = { 9, 0 };
    struct linger lg = { 1, 0 };
    if (step == OPTIONS)
        on(fd, IPPROTO_TCP, TCP_NODELAY), on(fd, SOL_SOCKET, SO_KEEPALIVE);
    if (step == TIMEOUT)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    if (step == LINGER)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    if (step == COOKIE)
        cookie(fd);
    if (step == DUPLICATE)
        left[0] = dup(fd);
    if (step == OWNER)
        fcntl(fd, F_SETOWN, getpid());
    if (step == USER)
        must(seteuid(65534) == 0, "user");
    if (step == UNKNOWN)
        on(fd, SOL_SOCKET, SO_RXQ_OVFL);
    if (step == SHUT)
        shutdown(fd, SHUT_WR);
    if (step == FORKED) {
        pid_t pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0) {
            int fresh_fd = socket(AF_INET, SOCK_STREAM, 0);
            fresh("child", fresh_fd);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

// unseen makes a child without libc, which takes a socket and binds it.
static void unseen(void)
{
    pid_t pid = -1;
#ifdef __x86_64__
    long r = SYS_fork;
    __asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
    pid = (pid_t)r;
#else
    pid = fork();
#endif
    must(pid >= 0, "fork");
    if (pid == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bind(fd, (void *)&(struct sockaddr_in){ .sin_family = AF_INET }, sizeof(struct sockaddr_in));
        kill(getpid(), SIGKILL); // nor does it end by libc
    }
    waitpid(pid, NULL, 0);
}

static void turn(int step)
{
    char b[8], name[16];
    struct epoll_event ev;
    int fd = socket(AF_INET, SOCK_STREAM | (step == CLOEXEC ? SOCK_CLOEXEC : 0) | (step == NONBLOCK ? SOCK_NONBLOCK : 0), 0);
    must(fd >= 0, "socket");
    before(step, fd);
    int r = connect(fd, (void *)&to, sizeof to);
    if (step == REFUSED && r < 0 && errno == ECONNREFUSED) // the kernel tells of the first one here
        r = connect(fd, (void *)&to, sizeof to);
    must(r == 0 || errno == EINPROGRESS, "connect");
    struct pollfd p = { .fd = fd, .events = POLLIN };
    poll(&p, 1, 15000);
    meanwhile(step, fd);
    show("read", "%zd", read(fd, b, sizeof b));
    close(fd);
    while (epoll_wait(ep, &ev, 1, 0) > 0)
        show("event", "%x", ev.events);
    if (step == UNSEEN)
        unseen();
    snprintf(name, sizeof name, "after %d", step);
    for (int i = 0; i < 2; i++) {
        int flags = i ? SOCK_NONBLOCK | SOCK_CLOEXEC : 0;
        fd = socket(AF_INET, SOCK_STREAM | flags, i ? IPPROTO_TCP : 0);
        fresh(name, fd);
        close(fd);
    }
    if (step == USER)
        must(seteuid(0) == 0, "user");
    if (left[0] > 0)
        close(left[0]), left[0] = 0;
}

// serve is the peer: an octet to everybody.
static pid_t serve(void)
{
    char b[8];
    int told[2];
    socklen_t n = sizeof to;
    must(pipe2(told, O_CLOEXEC) == 0, "pipe");
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid > 0) {
        must(read(told[0], &to, sizeof to) == sizeof to, "port");
        close(told[0]), close(told[1]);
        return pid;
    }
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    int l = peer_socket();
    must(bind(l, (void *)&to, n) == 0 && listen(l, 16) == 0 && getsockname(l, (void *)&to, &n) == 0, "listen");
    must(write(told[1], &to, sizeof to) == sizeof to, "port");
    for (;;) {
        int fd = accept(l, NULL, NULL);
        must(fd >= 0 && write(fd, "x", 1) == 1, "accept");
        while (read(fd, b, sizeof b) > 0)
            ;
        close(fd);
    }
}

// made counts the sockets behind 100 connections, eight at a time.
static void made(void)
{
    ino_t inos[100];
    int fds[8], n = 0;
    for (int i = 0; i < 100; i++) {
        struct stat st;
        if (i >= 8)
            close(fds[i % 8]);
        fds[i % 8] = socket(AF_INET, SOCK_STREAM, 0);
        must(connect(fds[i % 8], (void *)&to, sizeof to) == 0 && fstat(fds[i % 8], &st) == 0, "connect");
        bool new = true;
        for (int k = 0; k < n; k++)
            new = new && inos[k] != st.st_ino;
        if (new)
            inos[n++] = st.st_ino;
    }
    show("made", "%d", n);
}

int main(int argc, char **argv)
{
    (void)argv;
    pid_t peer = serve();
    ep = epoll_create1(0);
    if (argc > 1)
        made();
    for (int i = 0; i < 2 * STEPS && argc == 1; i++)
        if (i != WATCHED)
            turn(i % STEPS), turn(NOTHING);
    int used = socket(AF_INET, SOCK_STREAM, 0);
    result("to nobody", connect(used, (void *)&(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = to.sin_addr }, sizeof to));
    close(used);
    if (argc == 1)
        turn(NOTHING);
    kill(peer, SIGKILL);
    return 0;
}
