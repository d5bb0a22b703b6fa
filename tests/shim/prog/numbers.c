// System calls by number.
#include "prog.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

int main(void)
{
    int port, peer, l = listener(AF_INET, &port);
    struct pollfd p = { .fd = l, .events = POLLIN };
    result("poll", syscall(SYS_ppoll, &p, 1, &(struct timespec){ 0, 0 }, NULL, 0));
    peer = dial(port);
    int fd = (int)syscall(SYS_accept4, l, NULL, NULL, SOCK_CLOEXEC);
    show("accept", "%d", fd >= 0);
    char b[16] = "";
    result("write", syscall(SYS_write, fd, "abc", 3));
    result("read", read(peer, b, 16));
    result("send", write(peer, "defg", 4));
    struct iovec v = { b, 2 };
    result("readv", syscall(SYS_readv, fd, &v, 1));
    result("recvfrom", syscall(SYS_recvfrom, fd, b, 16, 0, NULL, NULL));
    result("sendto", syscall(SYS_sendto, fd, "hi", 2, 0, NULL, 0));
    result("read", read(peer, b, 16));
    int d = (int)syscall(SYS_dup, fd);
    result("getfl", syscall(SYS_fcntl, d, F_GETFL));
    result("close", syscall(SYS_close, fd));
    result("write", syscall(SYS_write, d, "abc", 3));
    result("read", read(peer, b, 16));
    int ep = (int)syscall(SYS_epoll_create1, 0);
    struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 7 };
    result("epoll_ctl", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, d, &ev));
    result("send", write(peer, "x", 1));
    result("epoll_wait", syscall(SYS_epoll_pwait, ep, &ev, 1, -1, NULL, 8));
    show("event", "%x %u", ev.events, ev.data.u32);
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(d, &readable);
    sigset_t none;
    sigemptyset(&none);
    struct { const sigset_t *mask; size_t size; } mask = { &none, 8 };
    result("pselect6", syscall(SYS_pselect6, d + 1, &readable, NULL, NULL, NULL, &mask));
    show("readable", "%d", FD_ISSET(d, &readable) != 0);
    mask.size = 4;
    result("pselect6, another size", syscall(SYS_pselect6, d + 1, &readable, NULL, NULL, NULL, &mask));
    result("shutdown", syscall(SYS_shutdown, d, SHUT_WR));
    result("end", read(peer, b, 16));
    result("unknown", syscall(9999));
    result("getpid", syscall(SYS_getpid) == getpid());
    return 0;
}
