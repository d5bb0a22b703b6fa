#include "rig.h"

#include <stdarg.h>
#include <stdatomic.h>
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

int listener(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 64) == 0, "listen");
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0); /* from now on the engine serves it */
    return l;
}

int dial(int l, bool kernel)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    getsockname(l, (struct sockaddr *)&sa, &n);
    inet_pton(AF_INET, kernel ? "127.0.0.1" : served, &sa.sin_addr);
    int c = socket(AF_INET, SOCK_STREAM, 0);
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

struct pair pair(void)
{
    int l = listener();
    struct pair p = { .cli = dial(l, false) };
    p.srv = take(l);
    close(l);
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

void settle(void)
{
    usleep(2000);
    if (ring)
        atomic_fetch_add(ring, 1);
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
    const struct scenario *groups[] = { basic, calls, threads, life };
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct scenario *s = groups[g]; s->name; s++)
            if (!strcmp(argv[2], "list"))
                say("%s", s->name);
            else if (!strcmp(argv[2], s->name))
                s->run();
    return 0;
}
