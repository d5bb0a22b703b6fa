#include "rig.h"

#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static const char *served; /* the address that the engine, if there is one, serves */

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    say("FAILED %s: %s", what, strerror(errno));
    exit(1);
}

/* Over the real engine, the clients live in a namespace of their own (SLT_PEER_NS) and reach the listeners at SLT_HOST. */
static bool elsewhere(void) { return getenv("SLT_PEER_NS") != NULL; }

static int in_peer(int (*fn)(void))
{
    int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), there = open(getenv("SLT_PEER_NS"), O_RDONLY | O_CLOEXEC);
    must(setns(there, CLONE_NEWNET) == 0, "setns");
    int fd = fn();
    must(setns(here, CLONE_NEWNET) == 0 && fd >= 0, "setns back");
    close(here), close(there);
    return fd;
}

static int client(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int table(void) { return fcntl(open("/proc/thread-self/net/tcp", O_RDONLY), F_DUPFD_CLOEXEC, 100); }

static in_addr_t home(void) { return getenv("SLT_HOST") ? inet_addr(getenv("SLT_HOST")) : htonl(INADDR_LOOPBACK); }

int listener(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = home() };
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 64) == 0, "listen");
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0); /* from now on the engine serves it */
    static int settled;
    for (int i = 0; getenv("LD_PRELOAD") && elsewhere() && settled != getpid() && i < 20; i++)
        usleep(10000), poll(&p, 1, 0); /* most often all queues have come by then; if not, the kernel serves what comes by the others */
    settled = getpid();
    return l;
}

int dial(int l, bool kernel)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    getsockname(l, (struct sockaddr *)&sa, &n);
    if (!elsewhere())
        inet_pton(AF_INET, kernel ? "127.0.0.1" : served, &sa.sin_addr);
    int c = elsewhere() && !kernel ? in_peer(client) : client();
    must(connect(c, (struct sockaddr *)&sa, sizeof sa) == 0, "connect");
    int one = 1;
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    settle();
    return c;
}

int take(int l)
{
    for (int i = 0; i < 15000; i++) {
        int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0)
            return fd;
        must(errno == EAGAIN, "accept");
        usleep(1000);
    }
    must(false, "accept in time");
    return -1;
}

static int server_of[1024]; /* by the client */
static int last = -1;       /* of them */

struct pair pair(void)
{
    static int kept = -1, owner; /* the last listener's end would give the connections to the kernel */
    bool keep = elsewhere();
    int l = keep && owner == getpid() ? kept : listener();
    kept = l, owner = getpid();
    struct pair p = { .cli = dial(l, false) };
    p.srv = take(l);
    if (!keep)
        close(l);
    server_of[p.cli % 1024] = last = p.srv;
    return p;
}

static _Atomic uint32_t *ring; /* the stand-in engine's: see engine.c */

static void map_ring(void)
{
    const char *path = getenv("SLT_RING");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ring = p == MAP_FAILED ? NULL : p;
    if (fd >= 0)
        close(fd);
}

/* on_the_way: the clients' namespace has a socket whose octets or FIN were not acknowledged. */
static bool on_the_way(void)
{
    static int net = -1;
    static char text[65536];
    if (net < 0)
        net = in_peer(table);
    ssize_t n = pread(net, text, sizeof text - 1, 0);
    must(n > 0, "read the clients' sockets");
    text[n] = 0;
    for (char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        unsigned state, unacked;
        if (sscanf(line + 1, "%*u: %*s %*s %x %x", &state, &unacked) == 2 && state != 10 /* LISTEN */
            && (unacked > 0 || strchr("\002\004\011\013", (int)state))) /* SYN-SENT, FIN-WAIT-1, LAST-ACK, CLOSING */
            return true;
    }
    return false;
}

void settle(void)
{
    usleep(2000);
    for (int i = 0; elsewhere() && on_the_way(); i++) {
        must(i < 15000, "wait for acknowledgements");
        usleep(1000);
    }
    if (ring)
        atomic_fetch_add(ring, 1);
    int n;
    ioctl(last, FIONREAD, &n); /* waits for the engine, should it be at work on what came */
}

void put(int fd, const char *text)
{
    size_t n = strlen(text);
    must(write(fd, text, n) == (ssize_t)n, "write");
    settle();
}

void get(int fd)
{
    char buf[256];
    ssize_t n = read(fd, buf, sizeof buf - 1);
    if (n < 0) {
        say("  read: %s", strerrorname_np(errno));
        return;
    }
    buf[n] = 0;
    say("  read: \"%s\"", buf);
}

void rst(int fd)
{
    struct linger l = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
    struct pollfd p = { .fd = server_of[fd % 1024] };
    for (int i = 0; elsewhere() && p.fd > 0 && !poll(&p, 1, 0) && i < 15000; i++)
        usleep(1000); /* nobody acknowledges a RST */
    settle();
}

static int ctl(int ep, int op, int fd, uint32_t events, uint64_t name)
{
    struct epoll_event ev = { .events = events, .data.u64 = name };
    return epoll_ctl(ep, op, fd, &ev);
}
int add(int ep, int fd, uint32_t events, uint64_t name) { return ctl(ep, EPOLL_CTL_ADD, fd, events, name); }
int mod(int ep, int fd, uint32_t events, uint64_t name) { return ctl(ep, EPOLL_CTL_MOD, fd, events, name); }
int del(int ep, int fd) { return ctl(ep, EPOLL_CTL_DEL, fd, 0, 0); }

const char *bits(uint32_t events)
{
    static _Thread_local char text[4][128];
    static _Thread_local int turn;
    static const struct { uint32_t bit; const char *name; } names[] = {
        { EPOLLIN, "IN" }, { EPOLLPRI, "PRI" }, { EPOLLOUT, "OUT" }, { EPOLLERR, "ERR" }, { EPOLLHUP, "HUP" },
        { EPOLLRDHUP, "RDHUP" }, { EPOLLRDNORM, "RDNORM" }, { EPOLLWRNORM, "WRNORM" }, { POLLNVAL, "NVAL" },
    };
    char *s = text[turn++ % 4];
    *s = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (events & names[i].bit)
            sprintf(s + strlen(s), "%s%s", *s ? "|" : "", names[i].name);
    return s;
}

static int by_name(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

void show(int ep, int ms)
{
    struct epoll_event ev[64];
    int n = epoll_wait(ep, ev, 64, ms);
    if (n < 0) {
        say("  wait: %s", strerrorname_np(errno));
        return;
    }
    qsort(ev, (size_t)n, sizeof *ev, by_name);
    printf("  wait:");
    for (int i = 0; i < n; i++)
        printf(" %c=%s", (char)ev[i].data.u64, bits(ev[i].events));
    putchar('\n');
}

void show_max(int ep, int max, int times)
{
    int count[128] = { 0 };
    struct epoll_event ev[64];
    for (int i = 0; i < times; i++) {
        int n = epoll_wait(ep, ev, max, 0);
        for (int k = 0; k < n; k++)
            count[ev[k].data.u64 & 127]++;
    }
    printf("  seen:");
    for (int i = 0; i < 128; i++)
        if (count[i])
            printf(" %c", i);
    putchar('\n');
}

void random_run(unsigned seed, int steps);

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3)
        return 2;
    served = argv[1];
    map_ring();
    if (!strcmp(argv[2], "random")) {
        random_run((unsigned)atoi(argv[3]), atoi(argv[4]));
        return 0;
    }
    const struct scenario *groups[] = { basic, calls, threads, life, edges };
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct scenario *s = groups[g]; s->name; s++)
            if (!strcmp(argv[2], "list"))
                say("%s", s->name);
            else if (!strcmp(argv[2], s->name))
                s->run();
    return 0;
}
