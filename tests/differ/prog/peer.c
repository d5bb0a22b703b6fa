// The other end of a sequence's connections: a process of its own, in its own namespace, that does what it is asked by a pipe. What it
// asks of the network it waits for, so that the next call finds what there is to find.
#include "differ.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

int to_peer, from_peer;
static int conns[PEERS] = { [0 ... PEERS - 1] = -1 }, listener = -1;
static const char *address;
static unsigned char buf[ROOM];

struct answer peer(int what, int conn, long arg)
{
    struct ask q = { what, conn, arg };
    struct answer a = { -1, EPIPE, 0 };
    if (write(to_peer, &q, sizeof q) != sizeof q || read(from_peer, &a, sizeof a) != sizeof a)
        _exit(6);
    errno = a.err;
    return a;
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void keep(int conn, int fd)
{
    if (conns[conn] >= 0)
        close(conns[conn]);
    conns[conn] = fd;
}

static struct sockaddr_in where(const char *host, long port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    inet_pton(AF_INET, host, &in.sin_addr);
    return in;
}

static long dial(int conn, long port)
{
    struct sockaddr_in in = where(address, port);
    struct timeval second = { 1, 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
    if (connect(fd, (void *)&in, sizeof in) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    keep(conn, fd);
    return 0;
}

static long listen_here(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t n = sizeof in;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (void *)&in, sizeof in) != 0 || listen(listener, 64) != 0 || getsockname(listener, (void *)&in, &n) != 0)
        return -1;
    return ntohs(in.sin_port);
}

static long take_connection(int conn, long ms)
{
    struct pollfd p = { .fd = listener, .events = POLLIN };
    if (poll(&p, 1, (int)ms) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    keep(conn, fd);
    return 0;
}

static int state(int fd)
{
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n);
    return i.tcpi_state;
}

// settle waits until all is acknowledged, the FIN too: whoever is to be told has been.
static void settle(int fd)
{
    for (long end = now_ms() + patience_ms / 4 + 1; now_ms() < end; nap_us(50)) {
        int n = 0, s = state(fd);
        if (ioctl(fd, SIOCOUTQ, &n) != 0 || (n == 0 && s != TCP_FIN_WAIT1 && s != TCP_LAST_ACK && s != TCP_CLOSING))
            break;
    }
    nap_us(patience_ms > 20 ? 10000 : 100);
}

static unsigned char next; // octet that is given

static long give(int fd, long n, int flags)
{
    for (long i = 0; i < n; i++)
        buf[i] = next++;
    if (flags == MSG_OOB)
        next = 0;
    long r = send(fd, buf, (size_t)n, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    int saved = errno;
    if (patience_ms)
        settle(fd);
    errno = saved;
    return r;
}

// take reads n octets or what comes in time; with to_end it says how the stream ended: 1000000 + what came by an end, else an error.
static struct answer take(int fd, long n, bool to_end)
{
    struct answer a = { 0, 0, 2166136261u };
    for (long end = now_ms() + patience_ms * 2; a.r < n;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        long left = end - now_ms();
        if (poll(&p, 1, left > 0 ? (int)left : 0) != 1) {
            a.err = EAGAIN;
            break;
        }
        long r = recv(fd, buf, (size_t)(n - a.r < ROOM ? n - a.r : ROOM), MSG_DONTWAIT);
        if (r <= 0) {
            a.err = r < 0 ? errno : 0;
            a.r += r == 0 && to_end ? 1000000 : 0;
            break;
        }
        a.sum = sum_of(buf, r, a.sum);
        a.r += r;
    }
    return a;
}

static long reset(int conn)
{
    struct linger l = { 1, 0 };
    setsockopt(conns[conn], SOL_SOCKET, SO_LINGER, &l, sizeof l);
    keep(conn, -1);
    nap_us(patience_ms > 20 ? 20000 : 1000);
    return 0;
}

static long reset_all(void)
{
    struct linger l = { 1, 0 };
    struct pollfd p = { .fd = listener, .events = POLLIN };
    for (int i = 0; i < PEERS; i++)
        if (conns[i] >= 0) {
            setsockopt(conns[i], SOL_SOCKET, SO_LINGER, &l, sizeof l);
            keep(i, -1);
        }
    while (poll(&p, 1, 0) == 1) // connections that no call took
        close(accept(listener, NULL, NULL));
    return 0;
}

static long shut(int fd)
{
    long r = shutdown(fd, SHUT_WR);
    int saved = errno;
    settle(fd);
    errno = saved;
    return r;
}

static struct answer perform(struct ask q)
{
    struct answer a = { 0 };
    int fd = conns[q.conn & (PEERS - 1)];
    errno = 0;
    switch (q.what) {
    case P_DIAL: a.r = dial(q.conn, q.arg); break;
    case P_LISTEN: a.r = listen_here(); break;
    case P_ACCEPT: a.r = take_connection(q.conn, q.arg); break;
    case P_GIVE: a.r = give(fd, q.arg, 0); break;
    case P_OOB: a.r = give(fd, q.arg, MSG_OOB); break;
    case P_TAKE: return take(fd, q.arg, false);
    case P_END: return take(fd, 1 << 20, true);
    case P_SHUT: a.r = shut(fd); break;
    case P_CLOSE: a.r = shutdown(fd, SHUT_WR), settle(fd), keep(q.conn, -1), nap_us(100); break;
    case P_RST: a.r = reset(q.conn); break;
    case P_RESET_ALL: a.r = reset_all(); break;
    case P_PATIENCE: patience_ms = (int)q.arg, next = 0; break;
    }
    a.err = errno;
    return a;
}

int peer_main(const char *host)
{
    struct ask q;
    address = host;
    signal(SIGPIPE, SIG_IGN);
    while (read(0, &q, sizeof q) == sizeof q) {
        struct answer a = perform(q);
        if (write(1, &a, sizeof a) != sizeof a)
            break;
    }
    return 0;
}
