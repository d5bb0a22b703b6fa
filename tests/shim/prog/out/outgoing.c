// Outgoing connections to another host: what each step, option and failure tells. The peer's listener is in its namespace.
#include "../prog.h"

static int l;
static struct sockaddr_in to;

static int peers(void)
{
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    int fd = peer_socket();
    socklen_t n = sizeof to;
    must(bind(fd, (void *)&to, sizeof to) == 0 && listen(fd, 16) == 0 && getsockname(fd, (void *)&to, &n) == 0, "listen");
    return fd;
}

static int plain(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    must(fd >= 0, "socket");
    return fd;
}

static int go(int fd) { return connect(fd, (void *)&to, sizeof to); }

static int taken(void)
{
    int fd = accept(l, NULL, NULL);
    must(fd >= 0, "accept");
    return fd;
}

static void ended(int fd, int other) { close(fd), close(other); }

static const char *error_of(int fd)
{
    int err = -1;
    socklen_t n = sizeof err;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
    return strerrorname_np(err);
}

static void ready(const char *name, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    int r = poll(&p, 1, 15000);
    show(name, "%d %x %s", r, p.revents, error_of(fd));
}

static int port_of(int fd)
{
    struct sockaddr_in in = { 0 };
    socklen_t n = sizeof in;
    getsockname(fd, (void *)&in, &n);
    return ntohs(in.sin_port);
}

#define TRY(call) result(#call, (long)(call))

static void blocking(void)
{
    char b[8] = "";
    int fd = plain(0);
    TRY(go(fd));
    int other = taken();
    TRY(go(fd));
    TRY(write(fd, "hello", 5));
    TRY(recv(other, b, 5, MSG_WAITALL));
    TRY(listen(fd, 1));
    struct sockaddr unspecified = { .sa_family = AF_UNSPEC };
    TRY(connect(fd, &unspecified, sizeof unspecified)); // dissolves it
    TRY(recv(other, b, 1, 0));
    TRY(write(fd, "x", 1) < 0);
    TRY(go(fd));
    close(other);
    other = taken();
    TRY(write(fd, "again", 5));
    TRY(recv(other, b, 5, MSG_WAITALL));
    ended(fd, other);
}

static void nonblocking(void)
{
    char c;
    int fd = plain(SOCK_NONBLOCK);
    TRY(go(fd));
    ready("connected", fd);
    TRY(recv(fd, &c, 1, 0));
    TRY(go(fd));
    TRY(go(fd));
    ended(fd, taken());
}

static void refused(void)
{
    char c;
    int was = to.sin_port, fd = plain(0);
    to.sin_port = htons(9); // nobody is there
    signal(SIGPIPE, SIG_IGN);
    TRY(go(fd));
    TRY(recv(fd, &c, 1, 0));
    TRY(send(fd, "x", 1, 0));
    show("error", "%s", error_of(fd));
    TRY(go(fd));
    to.sin_port = (in_port_t)was;
    TRY(go(fd)); // the socket is as good as new
    ended(fd, taken());
    to.sin_port = htons(9);
    fd = plain(SOCK_NONBLOCK);
    TRY(go(fd));
    ready("refused", fd);
    ready("refused, told", fd);
    TRY(recv(fd, &c, 1, 0));
    close(fd);
    fd = plain(SOCK_NONBLOCK);
    TRY(go(fd));
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    TRY(poll(&p, 1, 15000));
    TRY(go(fd)); // tells the error, too
    show("error", "%s", error_of(fd));
    close(fd);
    to.sin_port = (in_port_t)was;
}

static void on_alarm(int sig) { (void)sig; }

// Nobody has the address: what is seen while the attempt lasts, and its end.
static void nobody(void)
{
    char c;
    struct sockaddr_in far = to, was = to;
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    inet_pton(AF_INET, "203.0.113.1", &to.sin_addr);
    int fd = plain(0);
    TRY(go(fd)); // no route
    close(fd);
    far.sin_addr.s_addr = htonl(ntohl(far.sin_addr.s_addr) + 90);
    to = far;
    fd = plain(SOCK_NONBLOCK);
    TRY(go(fd));
    TRY(go(fd));
    TRY(recv(fd, &c, 1, 0));
    TRY(send(fd, "x", 1, MSG_NOSIGNAL));
    TRY(getpeername(fd, (void *)&sa, &n));
    show("port", "%d", port_of(fd) != 0);
    show("error", "%s", error_of(fd));
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    show("poll", "%d", poll(&p, 1, 0));
    struct timeval tv = { 0, 50000 };
    int timed = plain(0);
    setsockopt(timed, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    TRY(go(timed));
    TRY(go(timed));
    close(timed);
    struct sigaction sa2 = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &sa2, NULL);
    int broken = plain(0);
    ualarm(50000, 0);
    TRY(go(broken));
    close(broken);
    ready("nobody", fd);
    TRY(go(fd));
    close(fd);
    to = was;
}

static void bound(void)
{
    int one = 1, fd = plain(0), again;
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = host() };
    TRY(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one));
    TRY(bind(fd, (void *)&from, sizeof from));
    show("no port yet", "%d", port_of(fd));
    TRY(go(fd));
    show("a port", "%d", port_of(fd) != 0);
    ended(fd, taken());
    fd = plain(0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    TRY(bind(fd, (void *)&from, sizeof from));
    int port = port_of(fd);
    TRY(go(fd));
    show("kept", "%d", port_of(fd) == port);
    int other = taken();
    again = plain(0);
    setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    from.sin_port = htons((uint16_t)port);
    TRY(bind(again, (void *)&from, sizeof from));
    TRY(go(again)); // the same four numbers
    close(again);
    again = plain(0);
    from.sin_addr.s_addr = htonl(0xc6336401); // not ours
    TRY(bind(again, (void *)&from, sizeof from));
    close(again);
    ended(fd, other);
    fd = plain(0);
    TRY(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "veth0", 6));
    TRY(go(fd));
    char name[16] = "";
    socklen_t n = sizeof name;
    TRY(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    show("device", "%s %d", name, (int)n);
    ended(fd, taken());
    fd = plain(0);
    TRY(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nodevice", 9));
    close(fd);
}

static void option(const char *when, int fd, int level, int name)
{
    char key[48];
    int v = -77;
    socklen_t n = sizeof v;
    int r = getsockopt(fd, level, name, &v, &n);
    snprintf(key, sizeof key, "%s %d/%d", when, level, name);
    show(key, "%d %d", r, v);
}

static void options(void)
{
    static const int set[][3] = { { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_NODELAY, 1 }, { IPPROTO_IP, IP_TOS, 0x10 }, { IPPROTO_IP, IP_TTL, 33 },
        { SOL_SOCKET, SO_RCVBUF, 50000 }, { SOL_SOCKET, SO_SNDBUF, 50000 }, { IPPROTO_TCP, TCP_KEEPIDLE, 11 }, { IPPROTO_TCP, TCP_USER_TIMEOUT, 5000 },
        { SOL_SOCKET, SO_PRIORITY, 3 }, { SOL_SOCKET, SO_RCVLOWAT, 7 }, { SOL_SOCKET, SO_OOBINLINE, 1 },
        { IPPROTO_IP, IP_TRANSPARENT, 1 }, { IPPROTO_IP, IP_FREEBIND, 1 }, { SOL_SOCKET, SO_REUSEADDR, 1 }, { SOL_SOCKET, SO_REUSEPORT, 1 },
        { SOL_SOCKET, SO_MARK, 5 }, { IPPROTO_TCP, TCP_SYNCNT, 3 }, { IPPROTO_TCP, TCP_QUICKACK, 0 } };
    for (int after = 0; after < 2; after++) {
        int fd = plain(0);
        for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
            int other = -1;
            if (after)
                must(go(fd) == 0, "connect"), other = taken();
            result("set", setsockopt(fd, set[i][0], set[i][1], &set[i][2], sizeof(int)));
            if (!after)
                must(go(fd) == 0, "connect"), other = taken();
            option(after ? "set after" : "set before", fd, set[i][0], set[i][1]);
            must(write(fd, "x", 1) == 1, "write");
            char c;
            must(read(other, &c, 1) == 1, "read");
            ended(fd, other);
            fd = plain(0);
        }
        close(fd);
    }
}

int main(void)
{
    l = peers();
    blocking();
    nonblocking();
    refused();
    bound();
    options();
    nobody();
    return 0;
}
