// An epoll set that this program did not make: it had it from the one that started it. What is put into it may come to the engine later.
#include <sys/epoll.h>

#include "../prog.h"

static struct sockaddr_in to;

static int peers(void)
{
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    int fd = peer_socket();
    socklen_t n = sizeof to;
    must(bind(fd, (void *)&to, sizeof to) == 0 && listen(fd, 16) == 0 && getsockname(fd, (void *)&to, &n) == 0, "listen");
    return fd;
}

static void waits(const char *name, int ep, int ms)
{
    struct epoll_event ev = { 0 };
    int n = epoll_wait(ep, &ev, 1, ms);
    show(name, "%d %x %u", n, n > 0 ? ev.events : 0, n > 0 ? ev.data.u32 : 0);
}

int main(int argc, char **argv)
{
    char number[16], other[16], b[8] = "";
    if (argc == 1) {
        sprintf(number, "%d", epoll_create1(0));
        sprintf(other, "%d", dup(atoi(number))); // what was put in under the one is told by the other
        execl("/proc/self/exe", argv[0], number, other, NULL);
        must(0, "execl");
    }
    int ep = atoi(argv[1]), same = atoi(argv[2]), l = peers(), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 };
    result("add", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
    waits("not connected", ep, 100);
    result("connect", connect(fd, (void *)&to, sizeof to));
    int peer = accept(l, NULL, NULL);
    must(peer >= 0, "accept");
    UNTIL(connect(fd, (void *)&to, sizeof to) == 0 || errno == EISCONN);
    waits("nothing came", ep, 100);
    must(write(peer, "hello", 5) == 5, "give");
    waits("something came", same, 10000);
    result("recv", recv(fd, b, sizeof b, 0));
    waits("no more", ep, 100);
    ev.events = EPOLLIN | EPOLLOUT, ev.data.u32 = 8;
    result("change", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev));
    waits("room", ep, 10000);
    waits("by its duplicate", same, 10000);
    result("once more", epoll_ctl(same, EPOLL_CTL_ADD, fd, &ev));
    result("leave", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
    waits("left", ep, 100);
    return 0;
}
