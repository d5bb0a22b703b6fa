// Binds beside outgoing connections, at work and ended. Arguments: address, port of a peer that closes a connection when it gets an octet, or when this end has
// closed; with a third, that port alone is bound, by another process.
#include "../prog/prog.h"

static struct sockaddr_in peer;

static int reach(struct sockaddr_in *own)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t n = sizeof *own;
    must(connect(fd, (void *)&peer, sizeof peer) == 0, "connect");
    must(getsockname(fd, (void *)own, &n) == 0, "name");
    return fd;
}

static int try(const char *what, struct sockaddr_in at, int reuse)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0, "option");
    int r = bind(fd, (void *)&at, sizeof at);
    if (what)
        result(what, r);
    if (r == 0 && what)
        result("listen", listen(fd, 1));
    if (r < 0 || what)
        close(fd);
    return r;
}

static void each(const char *what, struct sockaddr_in at)
{
    struct sockaddr_in any = at;
    any.sin_addr.s_addr = 0;
    show("when", "%s", what);
    try("bind", at, 0);
    try("bind, SO_REUSEADDR", at, 1);
    try("bind to any address", any, 0);
}

// peers_end: the peer closes, then this end, which is rid of the connection then.
static struct sockaddr_in peers_end(void)
{
    struct sockaddr_in own;
    char c;
    int fd = reach(&own);
    must(send(fd, "x", 1, 0) == 1, "send");
    must(recv(fd, &c, 1, 0) == 0, "recv");
    close(fd);
    nap(50); // the last ACK
    return own;
}

static void other_process(const char *self, const char *place, const char *port, int number)
{
    char text[8];
    snprintf(text, sizeof text, "%d", number);
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        execl(self, self, place, port, text, NULL);
        _exit(9);
    }
    int status;
    must(waitpid(child, &status, 0) == child && status == 0, "wait");
}

// inside connects to the loopback address as often as there are ports.
static int inside(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(12000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    static int fds[256];
    int n = 0, l = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(l, (void *)&at, sizeof at) == 0 && listen(l, 256) == 0, "listen");
    while (n < 256 && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && connect(fds[n], (void *)&at, sizeof at) == 0)
        n++;
    must(errno == EADDRNOTAVAIL, "connect");
    for (int i = 0; i < n; i++) {
        struct linger reset = { .l_onoff = 1 };
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fds[i]);
    }
    close(l);
    return n;
}

int main(int argc, char **argv)
{
    struct sockaddr_in own;
    must(argc >= 3, "arguments");
    peer = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[1]), .sin_port = htons((uint16_t)atoi(argv[2])) };
    if (argc > 3) {
        own = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
        try("another process's bind", own, 0);
        return 0;
    }
    each("the peer ended it", peers_end());
    int fd = reach(&own);
    each("at work", own);
    each("the peer ended it, and there is another", peers_end());
    other_process(argv[0], argv[1], argv[2], ntohs(peers_end().sin_port));
    struct sockaddr_in ended;
    close(reach(&ended));
    nap(50);
    each("ended here", ended);
    for (int i = 0; i < 20; i++)
        peers_end();
    int n = inside();
    show("ports for whoever connects", n < 96 ? "%d" : "all", n); // the kernel's may share one that is in use
    for (int i = 0; i < 20; i++)
        peers_end();
    n = 0;
    own.sin_port = 0;
    while (try(NULL, own, 0) == 0)
        n++;
    show("ports for whoever binds", "%d", n);
    must(close(fd) == 0, "close");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    result("listen without bind", listen(fd, 1));
    return 0;
}
