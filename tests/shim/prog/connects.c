// Outgoing connections: blocking or not, in time or not, refused, bound before, used by epoll before.
#include "prog.h"

#include <sys/epoll.h>

static int l, port;

static int error_of(int fd)
{
    int err = -1;
    socklen_t n = sizeof err;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
    return err;
}

static void ready(const char *name, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    result(name, poll(&p, 1, -1));
    show(name, "%x %s", p.revents, strerrorname_np(error_of(fd)));
}

static int accepted(void)
{
    int fd = accept(l, NULL, NULL);
    must(fd >= 0, "accept");
    return fd;
}

static void blocking(void)
{
    char b[8];
    int fd = peer_socket();
    result("connect", dial_to(fd, port));
    int other = accepted();
    result("again", dial_to(fd, port));
    result("write", write(fd, "hello", 5));
    result("read", read(other, b, 8));
    show("same fd flags", "%o %o", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    close(other);
    result("end", read(fd, b, 8));
    close(fd);
}

static void nonblocking(void)
{
    int fd = peer_socket();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = 5 };
    result("epoll before", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    int r = dial_to(fd, port);
    show("connect", "%d %s", r, r < 0 ? strerrorname_np(errno) : "");
    uint32_t seen = 0;
    while (!(seen & EPOLLOUT) || seen & EPOLLHUP) {
        result("epoll", epoll_wait(ep, &ev, 1, -1) == 1);
        seen = ev.events;
        if (!(seen & EPOLLHUP))
            break;
    }
    show("event", "%x %u", seen & ~(unsigned)EPOLLHUP, ev.data.u32);
    show("error", "%d", error_of(fd));
    int other = accepted();
    r = dial_to(fd, port);
    show("first again", "%d %s", r, r < 0 ? strerrorname_np(errno) : "");
    r = dial_to(fd, port);
    show("second again", "%d %s", r, r < 0 ? strerrorname_np(errno) : "");
    result("write", write(other, "xyz", 3));
    result("epoll", epoll_wait(ep, &ev, 1, -1));
    show("event", "%x", ev.events);
    close(fd), close(other);
    result("epoll empty", epoll_wait(ep, &ev, 1, 0));
    close(ep);
}

static void refused(void)
{
    int closed, fd = listener(AF_INET, &closed);
    close(fd);
    fd = peer_socket();
    result("refused", dial_to(fd, closed));
    show("error", "%d", error_of(fd));
    close(fd);
    fd = peer_socket();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    result("refused later", dial_to(fd, closed) < 0);
    ready("refused", fd);
    result("write", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
}

static void bound(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET }, name = { 0 }, other = { 0 };
    socklen_t n = sizeof name;
    int one = 1, fd = peer_socket();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    result("bind", bind(fd, (void *)&in, sizeof in));
    getsockname(fd, (void *)&name, &n);
    show("connect", "%d", dial_to(fd, port));
    int a = accept(l, (void *)&other, &n);
    show("port kept", "%d", getenv("SLT_OFFSET") || other.sin_port == name.sin_port);
    close(fd), close(a);
}

int main(void)
{
    l = listener(AF_INET, &port);
    int peer;
    close(pair(l, port, &peer)), close(peer);
    blocking();
    nonblocking();
    refused();
    bound();
    struct sockaddr_in in = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    result("short", connect(fd, (void *)&in, 3));
    in.sin_family = 77;
    result("family", connect(fd, (void *)&in, sizeof in));
    result("no socket", connect(0, (void *)&in, sizeof in));
    result("closed", connect(99, (void *)&in, sizeof in));
    return 0;
}
