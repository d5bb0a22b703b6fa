// Every option of a listening and an accepted socket, of both families.
#include "../getopts.h"

static void both(const char *listening, const char *accepted, int family)
{
    int port, peer, l = listener(family, &port), fd = pair(l, port, &peer);
    all(listening, l);
    all(accepted, fd);
    close(fd), close(peer), close(l);
}

int main(void)
{
    both("listening", "accepted", AF_INET);
    both("listening, IPv6", "accepted, IPv4 in IPv6", AF_INET6);
    return 0;
}
