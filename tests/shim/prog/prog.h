// What the small programs share. Each prints what it sees, one "name: value" a line; the test runs it by the kernel, under
// the preload with nothing selected, and accelerated, and compares the outputs: so nothing here may depend on ports or times.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void show(const char *name, const char *fmt, ...)
{
    char line[1024];
    int n = snprintf(line, sizeof line - 300, "%s: ", name);
    va_list ap;
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 2, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(1, line, (size_t)n) != n)
        abort();
}

// result shows a call's result, and errno's name if it is -1.
static inline long result(const char *name, long r)
{
    int err = errno;
    show(name, r < 0 ? "%ld %s" : "%ld", r, r < 0 ? strerrorname_np(err) : "");
    errno = err;
    return r;
}

static inline void must(int ok, const char *what)
{
    if (ok)
        return;
    show("failed", "%s %s", what, strerrorname_np(errno));
    exit(3);
}

// host is where listeners are: the loopback, unless the test has a better place.
static inline in_addr_t host(void)
{
    return getenv("SLT_HOST") ? inet_addr(getenv("SLT_HOST")) : htonl(INADDR_LOOPBACK);
}

// listener binds a port below the ephemeral range and listens.
static inline int listener(int family, int *port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = host() };
    int fd = socket(family, SOCK_STREAM, 0);
    must(fd >= 0, "socket");
    srand((unsigned)getpid());
    for (int tries = 0; tries < 200; tries++) {
        *port = 12000 + rand() % 10000;
        in.sin_port = in6.sin6_port = htons((uint16_t)*port);
        int r = family == AF_INET ? bind(fd, (void *)&in, sizeof in) : bind(fd, (void *)&in6, sizeof in6);
        if (r == 0 && listen(fd, 64) == 0)
            return fd;
    }
    must(0, "bind");
    return -1;
}

// peer_socket makes a socket for the other end: in a namespace of its own if the test has one.
static inline int peer_socket_of(int family)
{
    const char *ns = getenv("SLT_PEER_NS");
    int here = ns ? open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) : -1, there = ns ? open(ns, O_RDONLY | O_CLOEXEC) : -1;
    must(!ns || setns(there, CLONE_NEWNET) == 0, "setns");
    int fd = socket(family, SOCK_STREAM, 0);
    must(fd >= 0, "socket");
    if (ns) {
        must(setns(here, CLONE_NEWNET) == 0, "setns back");
        close(here), close(there);
        if (dup2(fd, here) == here && here != fd) // the number it would have had
            close(fd), fd = here;
    }
    return fd;
}

static inline int peer_socket(void) { return peer_socket_of(AF_INET); }

// dial_to connects to the listener; the stand-in serves it SLT_OFFSET higher.
static inline int dial_to(int fd, int port)
{
    const char *offset = getenv("SLT_OFFSET");
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = host() };
    in.sin_port = htons((uint16_t)(port + (offset ? atoi(offset) : 0)));
    return connect(fd, (void *)&in, sizeof in);
}

static inline int dial(int port)
{
    int fd = peer_socket();
    must(dial_to(fd, port) == 0, "connect");
    return fd;
}

// nap: a moment, for the order of things; never for a deadline.
static inline void nap(int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    while (nanosleep(&t, &t) != 0)
        ;
}

// pair makes a connection: the peer's end (always the kernel's) and the accepted one.
static inline int pair(int l, int port, int *peer)
{
    static int settled;
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0); // the listener is polled, so that it is served before somebody connects
    for (int i = 0; !settled && getenv("SLT_PEER_NS") && i < 30; i++)
        nap(10), poll(&p, 1, 0); // most often all queues have come by then; if not, the kernel serves this connection
    settled = 1;
    *peer = dial(port);
    int fd = accept(l, NULL, NULL);
    must(fd >= 0, "accept");
    return fd;
}

// until waits for a condition.
#define UNTIL(cond)                                      \
    do                                                   \
        for (int i_ = 0; !(cond); i_++) {                \
            must(i_ < 15000, "waited in vain: " #cond);  \
            nap(1);                                      \
        }                                                \
    while (0)
