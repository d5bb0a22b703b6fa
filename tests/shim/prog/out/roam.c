// A thread makes a socket in another network namespace and comes back: its connection is made there.
#include "../prog.h"

int main(void)
{
    in_addr_t there = inet_addr(getenv("SLT_PEER_HOST"));
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = there }, from;
    socklen_t n = sizeof to;
    int l = peer_socket();
    must(bind(l, (void *)&to, n) == 0 && listen(l, 16) == 0 && getsockname(l, (void *)&to, &n) == 0, "listen");
    for (int i = 0; i < 6; i++) {
        int fd = i % 2 ? peer_socket() : socket(AF_INET, SOCK_STREAM, 0);
        must(connect(fd, (void *)&to, sizeof to) == 0, "connect");
        n = sizeof from;
        int other = accept(l, (void *)&from, &n);
        must(other >= 0, "accept");
        show("from", "there %d, here %d", from.sin_addr.s_addr == there, from.sin_addr.s_addr == host());
        close(fd), close(other);
    }
    return 0;
}
