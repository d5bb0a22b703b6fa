// An edge-triggered entry whose connection goes to the kernel tells nothing that it told before, and everything else.
#include "../prog.h"

#include <sys/epoll.h>

#define ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static int ep;

static void told(const char *when)
{
    struct epoll_event ev[4];
    int n = epoll_wait(ep, ev, 4, 0);
    if (n <= 0)
        show(when, "%d", n);
    for (int i = 0; i < n; i++)
        show(when, "%d: %x of %u", n, ev[i].events, ev[i].data.u32);
}

// leaves has the connection go to the kernel, for good.
static void leaves(int fd) { must(fcntl(fd, F_SETOWN, getpid()) == 0, "F_SETOWN"); }

static void add(int fd, uint32_t events, uint32_t data)
{
    struct epoll_event ev = { .events = events, .data.u32 = data };
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "add");
}

static void readable(int fd) { must(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 15000) == 1, "readable"); }

static void rounds(int l, int port, uint32_t events)
{
    int peer, other, fd = pair(l, port, &peer), fd2 = pair(l, port, &other);
    char b[16];
    ep = epoll_create1(EPOLL_CLOEXEC);
    show("interest", "%x", events);
    add(fd, events, 1);
    told("added"), told("no more");
    leaves(fd);
    told("moved, nothing unread");
    must(write(peer, "a", 1) == 1, "write"), readable(fd);
    told("something came"), told("no more");
    result("read", read(fd, b, sizeof b));
    must(write(peer, "b", 1) == 1, "write"), readable(fd);
    told("something came"), told("no more");

    add(fd2, events, 2);
    must(write(other, "c", 1) == 1, "write"), readable(fd2);
    told("added and readable"), told("no more");
    leaves(fd2);
    told("moved, unread");
    must(write(other, "d", 1) == 1, "write");
    UNTIL(recv(fd2, b, 2, MSG_PEEK) == 2);
    told("something came"), told("no more");
    close(peer), readable(fd), nap(20);
    told("the end"), told("no more");
    close(fd), close(fd2), close(other), close(ep);
}

// untold: what the program was not told of before the move it is told after.
static void untold(int l, int port)
{
    int peer, fd = pair(l, port, &peer);
    char b[16];
    ep = epoll_create1(EPOLL_CLOEXEC);
    add(fd, EPOLLIN | EPOLLET, 3);
    told("added");
    must(write(peer, "e", 1) == 1, "write"), readable(fd);
    leaves(fd);
    told("came before, moved"), told("no more");
    result("read", read(fd, b, sizeof b));
    close(fd), close(peer), close(ep);
}

// in_company: others of the set are ready when one moves.
static void in_company(int l, int port)
{
    int peer, fd = pair(l, port, &peer), p[2], q[2];
    ep = epoll_create1(EPOLL_CLOEXEC);
    must(pipe(p) == 0 && pipe(q) == 0, "pipe");
    add(fd, EPOLLIN | EPOLLET, 4), add(p[0], EPOLLIN | EPOLLET, 5), add(q[0], EPOLLIN | EPOLLONESHOT, 6);
    told("added");
    must(write(p[1], "x", 1) == 1 && write(q[1], "x", 1) == 1, "write");
    leaves(fd);
    told("the others"), told("no more");
    close(fd), close(peer), close(ep), close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

int main(void)
{
    int port, l = listener(AF_INET, &port);
    rounds(l, port, ALL);
    rounds(l, port, EPOLLIN | EPOLLET);
    rounds(l, port, EPOLLIN);
    untold(l, port);
    in_company(l, port);
    return 0;
}
