// What connections report by MSG_ERRQUEUE, of a listener that was told so: ends of zero-copy writes, and times.
#include "../prog.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

static void report(const char *name, int fd)
{
    char data[64], control[512];
    struct iovec v = { data, sizeof data };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    struct pollfd p = { .fd = fd };
    int n = poll(&p, 1, 15000);
    show(name, "%d %d", n, (p.revents & POLLERR) != 0);
    must(recvmsg(fd, &m, MSG_ERRQUEUE) >= 0, "recvmsg");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) {
            struct sock_extended_err *e = (void *)CMSG_DATA(c);
            show(name, "origin %d, info %u, data %u", e->ee_origin, e->ee_info, e->ee_data);
        }
}

static int kernels(int fd, int option)
{
    int v = -1;
    socklen_t n = sizeof v;
    return getsockopt(fd, SOL_SOCKET, option, &v, &n) == 0 ? v : -errno;
}

static void one(const char *name, int l, int port, int flags)
{
    int peer = dial(port), fd = accept(l, NULL, NULL);
    must(fd >= 0, "accept");
    result(name, send(fd, "hello", 5, flags));
    char b[8];
    show(name, "%zd", recv(peer, b, sizeof b, 0));
    report(name, fd);
    close(fd), close(peer);
}

static void over(const char *name, int option, int value, int flags)
{
    int port, l = listener(AF_INET, &port), none = 0;
    result(name, setsockopt(l, SOL_SOCKET, option, &value, sizeof value));
    int peer = dial(port), fd = accept(l, NULL, NULL); // the first one comes by the kernel at all events
    must(fd >= 0, "accept");
    close(fd), close(peer);
    one(name, l, port, flags);
    close(l);
    l = listener(AF_INET, &port); // the other way round: accepted from before it is set
    for (int i = 0; i < 3; i++) {
        peer = dial(port), fd = accept(l, NULL, NULL);
        must(fd >= 0, "accept");
        close(fd), close(peer);
    }
    result(name, setsockopt(l, SOL_SOCKET, option, &value, sizeof value));
    for (int i = 0; i < 3; i++)
        one(name, l, port, flags);
    result(name, setsockopt(l, SOL_SOCKET, option, &none, sizeof none));
    peer = dial(port), fd = accept(l, NULL, NULL);
    must(fd >= 0, "accept");
    show(name, "%d", kernels(fd, option));
    close(fd), close(peer), close(l);
}

int main(void)
{
    over("zero copy", SO_ZEROCOPY, 1, MSG_ZEROCOPY);
    over("acknowledged", SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY, 0);
    return 0;
}
