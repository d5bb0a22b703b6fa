// Serves one connection by an edge-triggered entry, and tells each event.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    struct epoll_event ev = { .events = EPOLLIN };
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0), fd = -1, on = 1;
    must(argc == 3 && inet_aton(argv[1], &at.sin_addr), "ADDRESS PORT");
    at.sin_port = htons((uint16_t)atoi(argv[2]));
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    must(bind(l, (void *)&at, sizeof at) == 0 && listen(l, 8) == 0, "listen");
    ev.data.fd = l;
    must(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev) == 0, "add");
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("listening");
    for (;;) {
        char b[64];
        ssize_t n = 1;
        must(epoll_wait(ep, &ev, 1, -1) == 1, "wait");
        if (ev.data.fd == l) {
            must((fd = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0, "accept");
            ev = (struct epoll_event){ .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd };
            must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "add");
            continue;
        }
        while (n > 0 && (n = read(fd, b, sizeof b)) > 0)
            ;
        must(n == 0 || errno == EAGAIN, "read");
        printf("event %x\n", ev.events);
        if (n == 0)
            return 0;
    }
}
