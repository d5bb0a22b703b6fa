// After the last descriptor of a listener is closed, whoever connects is refused at once, in every way of closing it.
#include "../prog.h"

#include <linux/close_range.h>

static void by_close(int l) { close(l); }
static void by_shutdown(int l) { shutdown(l, SHUT_RDWR); }
static void by_dup2(int l)
{
    int null = open("/dev/null", O_RDONLY);
    must(dup2(null, l) == l, "dup2");
    close(null);
}
static void by_close_range(int l) { must(close_range((unsigned)l, (unsigned)l, 0) == 0, "close_range"); }
static void by_last_of_two(int l)
{
    int other = dup(l), peer;
    close(l);
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    must(getsockname(other, (void *)&in, &n) == 0, "getsockname");
    int fd = pair(other, ntohs(in.sin_port), &peer); // the other one serves
    close(peer), close(fd), close(other);
}

static void ten(const char *name, void (*end)(int))
{
    int refused = 0, others = 0;
    for (int i = 0; i < 10; i++) {
        int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
        close(peer), close(fd);
        end(l);
        int late = peer_socket(), r = dial_to(late, port);
        refused += r < 0 && errno == ECONNREFUSED;
        if (r == 0 || errno != ECONNREFUSED)
            show("instead", "turn %d: %s", i, r == 0 ? "connected" : strerrorname_np(errno)), others++;
        close(late);
        if (end == by_shutdown || end == by_dup2)
            close(l);
    }
    show(name, "%d refused, %d not", refused, others);
}

static void all(const char *name)
{
    show("when", "%s", name);
    ten("close", by_close);
    ten("shutdown", by_shutdown);
    ten("dup2", by_dup2);
    ten("close_range", by_close_range);
    ten("the last of two", by_last_of_two);
}

int main(void)
{
    all("the only listener");
    int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
    all("another one is there"); // so that the queues are never given back
    close(peer), close(fd), close(l);
    return 0;
}
