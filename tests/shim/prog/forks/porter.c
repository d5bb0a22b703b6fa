// A process that polls its listener and leaves accepting to others, which it starts when somebody knocks and which may have no threads: as dovecot does.
#include "../prog.h"

#include <sys/epoll.h>
#include <sys/resource.h>

static int set_of(int fd, uint32_t events)
{
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = events, .data.fd = fd };
    must(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll");
    return ep;
}

// serve is the other program: it accepts from descriptor 3.
static int serve(const char *how)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    struct epoll_event ev;
    char b[64];
    alarm(60); // it would wait for long
    must(setuid(65534) == 0, "setuid");
    if (how[0] == 'e')
        must(fcntl(3, F_SETFL, O_NONBLOCK) == 0 && epoll_wait(set_of(3, EPOLLIN), &ev, 1, 15000) == 1, "epoll_wait");
    if (how[0] == 'p')
        must(poll(&(struct pollfd){ .fd = 3, .events = POLLIN }, 1, 15000) == 1, "poll");
    int fd = accept4(3, (void *)&sa, &n, how[0] == 'b' ? 0 : SOCK_CLOEXEC | SOCK_NONBLOCK);
    must(fd >= 0, "accept");
    show("the peer's address", "%d octets, family %d, its own port: %d", n, sa.sin_family, ntohs(sa.sin_port) == atoi(getenv("FROM")));
    show("flags", "%x %x", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
    must(write(fd, "220 hello", 9) == 9, "greet");
    must(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 15000) == 1, "a request");
    ssize_t r = read(fd, b, sizeof b);
    must(r > 0 && write(fd, b, (size_t)r) == r, "echo");
    return 0;
}

static pid_t start(int l, int peer, const char *how)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    char from[16];
    must(getsockname(peer, (void *)&sa, &n) == 0, "getsockname");
    snprintf(from, sizeof from, "%d", ntohs(sa.sin_port));
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid > 0)
        return pid;
    struct rlimit one = { 1, 1 };
    must(setrlimit(RLIMIT_NPROC, &one) == 0 && setenv("FROM", from, 1) == 0 && setenv("SLUICE_LOG", "off", 1) == 0, "limit");
    must((l == 3 ? fcntl(3, F_SETFD, 0) : dup2(l, 3)) >= 0, "descriptor 3");
    execl("/proc/self/exe", "porter", how, NULL);
    abort();
}

static void visit(int l, int ep, int port, const char *how)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = l };
    char b[64];
    int peer = dial(port), status;
    result("somebody knocks", epoll_wait(ep, &ev, 1, 15000));
    must(epoll_ctl(ep, EPOLL_CTL_DEL, l, NULL) == 0, "out of the set");
    pid_t pid = start(l, peer, how);
    ssize_t n = read(peer, b, sizeof b);
    show(how, "%zd %.*s", n, n > 0 ? (int)n : 0, b);
    must(write(peer, "request", 7) == 7, "write");
    n = read(peer, b, sizeof b);
    show(how, "%zd %.*s", n, n > 0 ? (int)n : 0, b);
    must(waitpid(pid, &status, 0) == pid, "wait");
    show("its status", "%x", status);
    must(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) == 0, "into the set again");
    close(peer);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return serve(argv[1]);
    const char *ways[] = { "epoll", "poll", "blocking" };
    for (int i = 0; i < 3; i++) {
        int port, l = listener(AF_INET, &port), ep = set_of(l, EPOLLIN);
        struct epoll_event ev;
        fcntl(l, F_SETFD, FD_CLOEXEC);
        for (int k = 0; k < 30; k++) // it is served by then
            nap(10), epoll_wait(ep, &ev, 1, 0);
        visit(l, ep, port, ways[i]);
        visit(l, ep, port, ways[i]);
        close(ep), close(l);
    }
    return 0;
}
