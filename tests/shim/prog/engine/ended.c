// Connections that have ended while the program still has them, and no listener any more: what they hold is there to be read.
#include "../prog.h"

#include <sys/epoll.h>

// gone waits until the connection needs no packets any more, as far as a program can see that.
static void gone(int fd)
{
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    UNTIL(getsockopt(fd, SOL_TCP, TCP_INFO, &i, &n) == 0 && i.tcpi_state != TCP_LAST_ACK && i.tcpi_state != TCP_FIN_WAIT1 && i.tcpi_state != TCP_FIN_WAIT2);
}

static void look(const char *name, int fd)
{
    char b[16] = "";
    int ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP };
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 && epoll_wait(ep, &ev, 1, -1) == 1, "epoll");
    show(name, "events %x", ev.events);
    close(ep);
    result("read", read(fd, b, 3));
    result("the rest", recv(fd, b + 3, 9, 0));
    show("of it", "%s", b);
    result("the end", read(fd, b, 9));
    result("still", recv(fd, b, 9, MSG_DONTWAIT));
    result("write", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
}

static int loops(int fd)
{
    int v = -1;
    socklen_t n = sizeof v;
    return getsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &v, &n) == 0 ? v : -errno;
}

// sticks: an option that only the kernel knows, of a connection that was reset.
static void sticks(int l, int port)
{
    int peer, other, fd = pair(l, port, &peer), none = 0, copy = dup(fd);
    struct linger now = { 1, 0 };
    struct pollfd p = { .fd = fd };
    must(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0, "linger");
    close(peer);
    must(poll(&p, 1, -1) == 1, "poll");
    result("set", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &none, sizeof none));
    show("it stuck", "%d %d", loops(fd), loops(copy));
    int second = pair(l, port, &other);
    show("and not to another", "%d", loops(second));
    result("its error", read(copy, &none, 1));
    close(fd), close(copy), close(second), close(other);
}

int main(void)
{
    int port, peer, l = listener(AF_INET, &port), fd[2];
    sticks(l, port);
    fd[0] = pair(l, port, &peer); // the peer ends it
    must(write(peer, "hello", 5) == 5, "write");
    close(peer);
    struct pollfd p = { .fd = fd[0], .events = POLLRDHUP };
    must(poll(&p, 1, -1) == 1, "poll");
    must(shutdown(fd[0], SHUT_WR) == 0, "shutdown");
    fd[1] = pair(l, port, &peer); // we end it
    must(shutdown(fd[1], SHUT_WR) == 0, "shutdown");
    must(write(peer, "hello", 5) == 5, "write");
    close(peer);
    p.fd = fd[1];
    must(poll(&p, 1, -1) == 1, "poll");
    gone(fd[0]), gone(fd[1]);
    close(l);
    nap(500); // the queues go back
    look("the peer ended it", fd[0]);
    look("we ended it", fd[1]);
    return 0;
}
