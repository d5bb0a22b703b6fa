// Sockets of both families whose peers are of both: dual CASE. What a program sees of addresses, and whom it can talk to.
#include "../prog/prog.h"

static const char *const families[] = { [AF_INET] = "inet", [AF_INET6] = "inet6" };

// at gives a socket address: of family 4 or 6, or an IPv4 address as 6 ("mapped").
static socklen_t at(struct sockaddr_storage *ss, int family, const char *text, int port)
{
    struct sockaddr_in *in = (void *)ss;
    struct sockaddr_in6 *in6 = (void *)ss;
    char mapped[64];
    memset(ss, 0, sizeof *ss);
    ss->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        must(inet_pton(AF_INET, text, &in->sin_addr) == 1, text);
        in->sin_port = htons((uint16_t)port);
        return sizeof *in;
    }
    snprintf(mapped, sizeof mapped, strchr(text, ':') ? "%s" : "::ffff:%s", text);
    must(inet_pton(AF_INET6, mapped, &in6->sin6_addr) == 1, mapped);
    in6->sin6_port = htons((uint16_t)port);
    return sizeof *in6;
}

static int port_of(const struct sockaddr_storage *ss) { return ntohs(((const struct sockaddr_in *)ss)->sin_port); }

// name shows an address, and whether its port is the one it should be.
static void name(const char *what, const struct sockaddr_storage *ss, socklen_t n, int port)
{
    char text[64] = "";
    const struct sockaddr_in6 *in6 = (const void *)ss;
    const void *a = ss->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)ss)->sin_addr : &in6->sin6_addr;
    inet_ntop(ss->ss_family, a, text, sizeof text);
    show(what, "%s %s %u %s", families[ss->ss_family], text, n, port == port_of(ss) ? "port" : "another port");
    if (ss->ss_family == AF_INET6)
        show(what, "flow %u scope %u", in6->sin6_flowinfo, in6->sin6_scope_id);
}

static int port_here(int fd)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    must(getsockname(fd, (void *)&ss, &n) == 0, "getsockname");
    return port_of(&ss);
}

static void names(int fd, int here, int there)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    result("getsockname", getsockname(fd, (void *)&ss, &n));
    name("local", &ss, n, here);
    n = sizeof ss;
    if (result("getpeername", getpeername(fd, (void *)&ss, &n)) == 0)
        name("remote", &ss, n, there);
    n = 16; // too short for sockaddr_in6
    result("getpeername, short", getpeername(fd, (void *)&ss, &n));
    show("length", "%u", n);
}

static void option(const char *what, int fd, int level, int opt)
{
    int v = -1;
    socklen_t n = sizeof v;
    if (result(what, getsockopt(fd, level, opt, &v, &n)) == 0)
        show(what, "%d %u", v, n);
}

static void options(int fd)
{
    int tos = 0x20, on = 1;
    option("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY);
    option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
    option("IP_MTU", fd, IPPROTO_IP, IP_MTU);
    option("IPV6_MTU", fd, IPPROTO_IPV6, IPV6_MTU);
    option("IPV6_ADDRFORM", fd, IPPROTO_IPV6, IPV6_ADDRFORM);
    option("TCP_MAXSEG", fd, IPPROTO_TCP, TCP_MAXSEG);
    result("set IPV6_V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    result("set IP_TOS", setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    option("IP_TOS", fd, IPPROTO_IP, IP_TOS);
    result("set IPV6_TCLASS", setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos));
    option("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS);
}

static void talk(int a, int b)
{
    char buf[8] = "";
    result("send", send(a, "to b", 5, 0));
    result("recv", recv(b, buf, 5, MSG_WAITALL));
    result("send", send(b, "to a", 5, 0));
    result("recv", recv(a, buf, 5, MSG_WAITALL));
    show("said", "%s", buf);
}

// bound makes a listener; only is IPV6_V6ONLY, -1: left alone. -1 if it can't be bound.
static int bound(int family, const char *text, int only, int *port)
{
    struct sockaddr_storage ss;
    int fd = socket(family, SOCK_STREAM, 0), one = 1;
    must(fd >= 0, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (only >= 0)
        result("IPV6_V6ONLY before bind", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
    socklen_t n = at(&ss, family, text, *port);
    if (result("bind", bind(fd, (void *)&ss, n)) < 0 || result("listen", listen(fd, 16)) < 0)
        return close(fd), -1;
    *port = port_here(fd);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (int i = 0; i < 10; i++)
        poll(&p, 1, 10); // it is served, and its queues come
    return fd;
}

// from lets a peer of a family connect to an address, and shows what accept gives.
static void from(const char *what, int l, int family, const char *text, int port, int move)
{
    struct sockaddr_storage ss, who;
    int peer = peer_socket_of(family);
    socklen_t n = at(&ss, family, text, port);
    show("from", "%s", what);
    if (result("connect", connect(peer, (void *)&ss, n)) < 0) {
        close(peer);
        return;
    }
    n = sizeof who;
    memset(&who, 0, sizeof who);
    int fd = accept4(l, (void *)&who, &n, SOCK_CLOEXEC);
    must(fd >= 0, "accept");
    name("accepted", &who, n, port_here(peer));
    names(fd, port, port_here(peer));
    options(fd);
    talk(peer, fd);
    if (move) { // a descriptor that a child inherits becomes the kernel's
        fcntl(fd, F_SETFD, 0);
        pid_t child = fork();
        if (child == 0) {
            names(fd, port, port_here(peer));
            talk(peer, fd);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        show("moved", "%s", what);
        names(fd, port, port_here(peer));
        options(fd);
        talk(peer, fd);
    }
    close(fd), close(peer);
}

// to connects a socket of a family to a peer's listener, at an address of it.
static void to(const char *what, int family, const char *text, const char *self, int only, int port, int l)
{
    struct sockaddr_storage ss;
    int fd = socket(family, SOCK_STREAM, 0);
    show("to", "%s", what);
    if (only >= 0)
        result("IPV6_V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only));
    if (self) {
        socklen_t n = at(&ss, family, self, 0);
        result("bind", bind(fd, (void *)&ss, n));
    }
    socklen_t n = at(&ss, strchr(what, '4') ? AF_INET : AF_INET6, text, port);
    if (result("connect", connect(fd, (void *)&ss, n)) == 0) {
        int other = accept(l, NULL, NULL);
        must(other >= 0, "accept");
        names(fd, port_here(fd), port);
        options(fd);
        talk(fd, other);
        close(other);
    } else {
        result("getpeername", getpeername(fd, (void *)&ss, &n));
    }
    close(fd);
}

static const char *four, *six, *peer4, *peer6;

static void serve(const char *text, int only, int move)
{
    int port = 0, l = bound(AF_INET6, text, only, &port);
    from("IPv4", l, AF_INET, four, port, move);
    from("IPv6", l, AF_INET6, six, port, 0);
    close(l);
}

static void listen_any(void) { serve("::", -1, 0); }
static void listen_move(void) { serve("::", 0, 1); }
static void listen_mapped(void) { serve(four, -1, 0); }
static void listen_mapped_any(void) { serve("0.0.0.0", -1, 0); }
static void listen_six(void) { serve(six, -1, 0); }
static void listen_only(void) { serve("::", 1, 0); }

static void listen_both(void)
{
    int port = 0, l6 = bound(AF_INET6, "::", 1, &port), l4 = bound(AF_INET, "0.0.0.0", -1, &port);
    from("IPv4", l4, AF_INET, four, port, 0);
    from("IPv6", l6, AF_INET6, six, port, 0);
    show("then", "IPv6 without V6ONLY");
    int l = bound(AF_INET6, "::", 0, &port);
    close(l), close(l4), close(l6);
}

static void connecting(void)
{
    struct sockaddr_storage ss;
    int port = 0, l = peer_socket_of(AF_INET6);
    socklen_t n = at(&ss, AF_INET6, "::", 0);
    must(bind(l, (void *)&ss, n) == 0 && listen(l, 16) == 0, "listen");
    port = port_here(l);
    to("mapped", AF_INET6, peer4, NULL, -1, port, l);
    to("IPv6", AF_INET6, peer6, NULL, -1, port, l);
    to("mapped, V6ONLY", AF_INET6, peer4, NULL, 1, port, l);
    to("IPv6, V6ONLY", AF_INET6, peer6, NULL, 1, port, l);
    to("inet4 address", AF_INET6, peer4, NULL, -1, port, l);
    to("mapped, from a socket of IPvfour", AF_INET, peer4, NULL, -1, port, l);
    to("mapped, bound to any", AF_INET6, peer4, "::", -1, port, l);
    to("mapped, bound to mapped", AF_INET6, peer4, four, -1, port, l);
    to("mapped, bound to IPv6", AF_INET6, peer4, six, -1, port, l);
    to("IPv6, bound to IPv6", AF_INET6, peer6, six, -1, port, l);
    to("IPv6, bound to mapped", AF_INET6, peer6, four, -1, port, l);
    close(l);
    to("mapped, closed", AF_INET6, peer4, NULL, -1, port, l);
    to("IPv6, closed", AF_INET6, peer6, NULL, -1, port, l);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "any", listen_any }, { "any-moved", listen_move }, { "mapped", listen_mapped }, { "mapped-any", listen_mapped_any },
    { "six", listen_six }, { "only", listen_only }, { "both", listen_both }, { "connecting", connecting },
};

int main(int argc, char **argv)
{
    four = getenv("SLT_HOST"), six = getenv("SLT_HOST6"), peer4 = getenv("SLT_PEER_HOST"), peer6 = getenv("SLT_PEER_HOST6");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0)
            return cases[i].run(), 0;
    return 2;
}
