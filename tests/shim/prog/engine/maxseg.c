// TCP_MAXSEG before, and after, the connection stands: only what the handshake knew counts.
#include "../prog.h"

static int told(int fd)
{
    int v = -1;
    socklen_t n = sizeof v;
    return getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &v, &n) == 0 ? v : -errno;
}

static void set(const char *what, int fd, int v)
{
    result(what, setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &v, sizeof v));
    show(what, "%d", told(fd));
}

int main(void)
{
    int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
    show("accepted", "%d", told(fd));
    set("smaller", fd, 600);
    set("larger", fd, 20000);
    set("none", fd, 0);
    set("too small", fd, 7);
    close(fd), close(peer);
    set("listener", l, 700);
    fd = pair(l, port, &peer);
    show("accepted with it", "%d", told(fd));
    set("smaller still", fd, 500);
    char b[4000] = { 0 };
    result("write", write(fd, b, sizeof b));
    result("read", recv(peer, b, sizeof b, MSG_WAITALL));
    show("afterwards", "%d", told(fd));
    return 0;
}
