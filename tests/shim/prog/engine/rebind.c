// Who may have the port of a listener that has, or had, connections: with and without SO_REUSEADDR, on each address. (While a connection, or its TIME-WAIT, is
// left of a listener that was closed, the kernel refuses more: docs/limits.md.)
#include "../prog.h"

enum state { BESIDE, ENDED, STATES };
static const char *states[] = { "beside its listener", "all ended" };

enum place { SAME, ANY, OTHER, ANY6, ONLY6, PLACES };
static const char *places[] = { "same", "any", "other", "any6", "only6" };

static int reuse_of(int fd, int on) { return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); }

// try: a listener at the port.
static void try(const char *name, enum place place, int port, int reuse)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons((uint16_t)port) };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    in.sin_addr.s_addr = place == SAME ? host() : place == OTHER ? htonl(INADDR_LOOPBACK) : htonl(INADDR_ANY);
    int six = place == ANY6 || place == ONLY6, only = place == ONLY6;
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && reuse_of(fd, reuse) == 0, "socket");
    if (six)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    int r = six ? bind(fd, (void *)&in6, sizeof in6) : bind(fd, (void *)&in, sizeof in);
    const char *bound = r == 0 ? "bound" : strerrorname_np(errno);
    const char *listens = r != 0 ? "" : listen(fd, 8) == 0 ? ", listens" : strerrorname_np(errno);
    show(name, "%s%s: %s%s", places[place], reuse ? " with SO_REUSEADDR" : "", bound, listens);
    close(fd);
}

// made is a listener that has a connection.
static int made(int reuse, int *port, int *fd, int *peer)
{
    int l = listener(AF_INET, port);
    must(reuse_of(l, reuse) == 0, "SO_REUSEADDR");
    struct pollfd p = { .fd = l, .events = POLLIN };
    for (int i = 0; i < 15; i++) // that it is served by then
        poll(&p, 1, 0), nap(10);
    *fd = pair(l, *port, peer);
    return l;
}

int main(void)
{
    char c;
    int keep_port, keep_peer, keep = listener(AF_INET, &keep_port); // the queues stay
    close(pair(keep, keep_port, &keep_peer));
    for (int s = 0; s < STATES; s++)
        for (int had = 0; had < 2; had++) {
            char name[64];
            int port, fd, peer, l = made(had, &port, &fd, &peer);
            snprintf(name, sizeof name, "%s%s", states[s], had ? ", had it" : "");
            if (s == ENDED) {
                close(peer);
                must(read(fd, &c, 1) == 0, "the end");
                close(fd), close(l);
                nap(100);
            }
            for (int p = 0; p < PLACES; p++)
                for (int reuse = 0; reuse < 2; reuse++)
                    try(name, (enum place)p, port, reuse);
            if (s == BESIDE)
                close(l), close(fd), close(peer);
        }
    close(keep), close(keep_peer);
    return 0;
}
