// Calls that make, name, configure and end sockets.
#include "differ.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static void made(long slot, int fd)
{
    bound_end();
    say_result(fd);
    slot_set(slot, fd);
}

static void do_socket(const long *a) { made(a[0], socket((int)a[1], (int)a[2], (int)a[3])); }
static void do_listen(const long *a) { say_result(listen(fd_of(a[0]), (int)a[1])); }
static void do_shutdown(const long *a) { say_result(shutdown(fd_of(a[0]), (int)a[1])); }

// target is an address: 0 the other end's listener, 1 a port nobody has, 2 nowhere, 3 own and any port, 4 a family of no use.
static struct sockaddr_in target(long kind)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(kind == 0 ? peer_port : kind == 1 ? 1 : kind == 2 ? 9 : 0)) };
    inet_pton(AF_INET, kind == 3 ? own_host : kind == 2 ? "240.0.0.1" : peer_host, &in.sin_addr);
    if (kind == 4)
        in.sin_family = 77;
    return in;
}

static void do_bind(const long *a)
{
    struct sockaddr_in in = target(a[1]);
    say_result(bind(fd_of(a[0]), at(a[2], &in), (socklen_t)a[3]));
}

// connect; what reached the other end's listener becomes its connection of that number.
static void do_connect(const long *a)
{
    struct sockaddr_in in = target(a[1]);
    bound_begin();
    int r = connect(fd_of(a[0]), at(a[2], &in), (socklen_t)a[3]), err = errno;
    bound_end();
    say_result(r);
    if (a[1] == 0 && (r == 0 || err == EINPROGRESS))
        say(" accepted %ld", peer(P_ACCEPT, (int)a[4], patience_ms * 2).r);
    else if (err == EINPROGRESS)
        nap_us(patience_ms * 100);
}

static void do_accept(const long *a)
{
    struct sockaddr_storage s = { 0 };
    socklen_t n = (socklen_t)a[3];
    bound_begin();
    made(a[0], accept(fd_of(a[1]), at(a[2], &s), &n));
    say(" len %d", (int)n);
}

static void do_accept4(const long *a)
{
    bound_begin();
    made(a[0], accept4(fd_of(a[1]), NULL, NULL, (int)a[2]));
}

// name says address and length, not the port; whether there is one.
static void name(int r, const struct sockaddr_in *in, socklen_t n)
{
    char text[32] = "";
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    say_result(r);
    say(" len %d", (int)n);
    if (r == 0 && n >= 8 && in->sin_family == AF_INET)
        say(" %s %s", text, in->sin_port ? "port" : "no port");
    else if (r == 0)
        say(" family %d", in->sin_family);
}

static void do_getsockname(const long *a)
{
    struct sockaddr_in in[2] = { 0 };
    socklen_t n = (socklen_t)a[2];
    int r = getsockname(fd_of(a[0]), at(a[1], in), &n);
    name(r, in, n);
}

static void do_getpeername(const long *a)
{
    struct sockaddr_in in[2] = { 0 };
    socklen_t n = (socklen_t)a[2];
    int r = getpeername(fd_of(a[0]), at(a[1], in), &n);
    name(r, in, n);
}

// peer_dial: the other end connects to a listener of the sequence's.
static void do_dial(const long *a)
{
    struct sockaddr_in in = { 0 };
    socklen_t n = sizeof in;
    int on = 0;
    socklen_t m = sizeof on;
    if (getsockopt(fd_of(a[1]), SOL_SOCKET, SO_ACCEPTCONN, &on, &m) != 0 || !on || getsockname(fd_of(a[1]), (void *)&in, &n) != 0) {
        say("no listener");
        return;
    }
    say_result(peer(P_DIAL, (int)a[0], ntohs(in.sin_port)).r);
    nap_us(patience_ms > 20 ? 10000 : 200);
}

// varies says whether an option's value is the moment's, or the path's own. The kernel
// sizes SO_SNDBUF by what it knows of the path.
static bool varies(long level, long opt)
{
    return (level == IPPROTO_TCP && (opt == TCP_INFO || opt == 24 /* TCP_TIMESTAMP */ || opt == 26 /* TCP_CC_INFO */ || opt == 28 || opt == 35 || opt == TCP_WINDOW_CLAMP)) ||
           (level == SOL_SOCKET && (opt == SO_COOKIE || opt == SO_INCOMING_CPU || opt == SO_INCOMING_NAPI_ID || opt == SO_MEMINFO || opt == SO_SNDBUF || opt == SO_PEERSEC));
}

static void do_getsockopt(const long *a)
{
    unsigned char v[512];
    memset(v, 0xa5, sizeof v);
    socklen_t n = (socklen_t)a[3];
    int r = getsockopt(fd_of(a[0]), (int)a[1], (int)a[2], at(a[4], v), &n);
    say_result(r);
    say(" len %d", (int)n);
    if (r == 0 && !varies(a[1], a[2]) && a[4] == 0)
        for (socklen_t i = 0; i < n && i < 20; i++)
            say("%s%02x", i ? "" : " value ", v[i]);
}

static void do_setsockopt(const long *a)
{
    unsigned char v[512] = { 0 };
    int value = (int)a[3];
    memcpy(v, &value, sizeof value);
    say_result(setsockopt(fd_of(a[0]), (int)a[1], (int)a[2], at(a[5], v), (socklen_t)a[4]));
}

static void do_setname(const long *a)
{
    static const char *const names[] = { "cubic", "reno", "bbr", "none", "", "averylongnamethatisnone" };
    const char *s = names[a[3] % 6];
    say_result(setsockopt(fd_of(a[0]), (int)a[1], (int)a[2], s, (socklen_t)strlen(s)));
}

static void do_setpair(const long *a)
{
    long v[2] = { a[3], a[4] };
    int w[2] = { (int)a[3], (int)a[4] };
    bool linger = a[2] == SO_LINGER;
    say_result(setsockopt(fd_of(a[0]), (int)a[1], (int)a[2], linger ? (void *)w : (void *)v, linger ? sizeof w : sizeof v));
}

static void do_sockatmark(const long *a) { say_result(sockatmark(fd_of(a[0]))); }

const struct op socket_ops[] = {
    { "socket", do_socket }, { "listen", do_listen }, { "shutdown", do_shutdown }, { "bind", do_bind }, { "connect", do_connect },
    { "accept", do_accept }, { "accept4", do_accept4 }, { "getsockname", do_getsockname }, { "getpeername", do_getpeername },
    { "peer_dial", do_dial }, { "getsockopt", do_getsockopt }, { "setsockopt", do_setsockopt }, { "setname", do_setname },
    { "setpair", do_setpair }, { "sockatmark", do_sockatmark }, { NULL, NULL },
};
