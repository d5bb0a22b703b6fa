// The port of a connection that is over, and that the program bound itself, is free as soon as its descriptor is closed.
#include "../prog.h"

static struct sockaddr_in to;
static int l;

static int bound_to(int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0, "socket");
    return bind(fd, (void *)&in, sizeof in) == 0 ? fd : (close(fd), -1);
}

static void abort_it(int fd)
{
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)) == 0, "SO_LINGER");
    close(fd);
}

// leave makes an accelerated connection the kernel's, for a control message.
static void leave(int fd, int other)
{
    char c, control[CMSG_SPACE(4)] = { 0 };
    struct cmsghdr *h = (void *)control;
    *h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_TCP };
    struct msghdr m = { .msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    must(sendmsg(fd, &m, 0) == 1 && recv(other, &c, 1, 0) == 1, "leave");
}

enum way { REFUSED, RESET_BY_PEER, RESET, LEFT_RESET_BY_PEER, LEFT_RESET, WAYS };

// once: whether the port can be bound anew.
static int once(enum way way, int port)
{
    char c;
    struct sockaddr_in at = to;
    int fd = bound_to(port);
    must(fd >= 0, "bind");
    if (way == REFUSED)
        at.sin_port = htons(9);
    must(connect(fd, (void *)&at, sizeof at) == (way == REFUSED ? -1 : 0), "connect");
    if (way != REFUSED) {
        int other = accept(l, NULL, NULL);
        must(other >= 0, "accept");
        if (way >= LEFT_RESET_BY_PEER)
            leave(fd, other), way -= LEFT_RESET_BY_PEER - RESET_BY_PEER;
        abort_it(way == RESET ? fd : other);
        if (way == RESET_BY_PEER)
            must(recv(fd, &c, 1, 0) < 0 && errno == ECONNRESET, "recv");
        else
            must(recv(other, &c, 1, 0) < 0 && errno == ECONNRESET, "recv"), close(other);
    }
    if (way != RESET)
        close(fd);
    fd = bound_to(port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(void)
{
    static const char *names[] = { "refused", "reset by its peer", "reset", "the kernel's, reset by its peer", "the kernel's, reset" };
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    l = peer_socket();
    socklen_t n = sizeof to;
    must(bind(l, (void *)&to, sizeof to) == 0 && listen(l, 16) == 0 && getsockname(l, (void *)&to, &n) == 0, "listen");
    for (int way = REFUSED; way < WAYS; way++) {
        int free_at_once = 0;
        for (int i = 0; i < 20; i++)
            free_at_once += once((enum way)way, 20000 + way * 20 + i);
        show(names[way], "%d of 20 free at once", free_at_once);
    }
    return 0;
}
