// A program that uses the engine by its C border alone, as the preload object does: an echo server and client driven by lines on
// stdin, telling what happens on stdout. Usage: driver ENGINE.so BROKER.sock|grow
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cabi.h"

#define CALLS(X)                                                                                                     \
    X(sl_start) X(sl_listen) X(sl_accept) X(sl_connect) X(sl_recv) X(sl_send) X(sl_close) X(sl_getsockopt) X(sl_name) \
    X(sl_poll) X(sl_handover) X(sl_stop) X(sl_ioctl) X(sl_setsockopt) X(sl_shutdown) X(sl_relisten)
#define X(name) static __typeof__(&name) p_##name;
CALLS(X)
#undef X

static struct sl_shared *sh;
static uint32_t notes_seen;
static int listener = -1, klistener = -1; // handle, kernel descriptor
enum { MAX = 4096 };
static struct {
    int used, fd, echo, off, len; // fd: the kernel socket it became, -1: the engine's
    char buf[16384];
} conn[MAX]; // by handle
static int kfds[MAX], nkfds; // kernel connections that never had a handle

static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static void notes(void)
{
    for (uint32_t tail = sh->notes_tail; notes_seen != tail; notes_seen++) {
        struct sl_note *n = &sh->notes[notes_seen % SL_MAX_NOTES];
        fprintf(stderr, "engine %u: %s\n", n->level, n->text);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void forget(int h)
{
    p_sl_close(h);
    if (conn[h].fd >= 0)
        close(conn[h].fd);
    conn[h].used = 0;
    say("closed %d", h);
}

// io: one read or write of a connection, wherever it lives now.
static ssize_t io(int h, int write_, void *b, size_t n)
{
    for (;;) {
        if (conn[h].fd >= 0) {
            ssize_t r = write_ ? send(conn[h].fd, b, n, MSG_NOSIGNAL) : recv(conn[h].fd, b, n, 0);
            return r < 0 ? -errno : r;
        }
        struct iovec v = {b, n};
        ssize_t r = write_ ? p_sl_send(h, &v, 1, 0) : p_sl_recv(h, &v, 1, 0, NULL);
        if (r != SL_MOVED)
            return r;
        uint32_t m = sh->words[h].moved;
        if (m == SL_GONE)
            return -ECONNRESET;
        conn[h].fd = (int)m - 1;
        say("moved %d", h);
    }
}

static void serve(int h)
{
    for (;;) {
        if (conn[h].len == 0) {
            ssize_t r = io(h, 0, conn[h].buf, sizeof conn[h].buf);
            if (r == -EAGAIN)
                return;
            if (r <= 0) {
                if (r < 0)
                    say("error %d %s", h, strerror((int)-r));
                forget(h);
                return;
            }
            conn[h].off = 0;
            conn[h].len = (int)r;
            if (!conn[h].echo) {
                say("got %d %.*s", h, (int)r, conn[h].buf);
                conn[h].len = 0;
                continue;
            }
        }
        ssize_t w = io(h, 1, conn[h].buf + conn[h].off, conn[h].len);
        if (w == -EAGAIN)
            return;
        if (w < 0) {
            say("error %d %s", h, strerror((int)-w));
            forget(h);
            return;
        }
        conn[h].off += (int)w;
        conn[h].len -= (int)w;
    }
}

static void take(int h, int echo)
{
    memset(&conn[h], 0, offsetof(__typeof__(conn[0]), buf));
    conn[h].used = 1;
    conn[h].fd = -1;
    conn[h].echo = echo;
}

static void accept_all(void)
{
    for (;;) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int r = p_sl_accept(listener, (struct sockaddr *)&sa, &len);
        if (r < 0)
            return;
        if (r & SL_KERNEL_FD) {
            kfds[nkfds++] = r & ~SL_KERNEL_FD;
            say("accepted kernel");
            continue;
        }
        say("accepted %d", r);
        take(r, 1);
        serve(r);
    }
}

static void drain(void)
{
    while (sh->changed_head != sh->changed_tail) {
        uint32_t h = sh->changed[sh->changed_head % SL_MAX_HANDLES];
        sh->changed_head++;
        sh->queued[h] = 0;
        if ((int)h == listener)
            accept_all();
        else if (h < MAX && conn[h].used)
            serve((int)h);
    }
    notes();
}

static void start(const char *broker)
{
    char env[256];
    snprintf(env, sizeof env, "SLUICE_BROKER=%s", broker);
    const char *list[] = {env, NULL};
    struct sl_boot boot = {.size = sizeof boot, .abi = SL_ABI, .door_fd = -1, .fd_min = 700, .env = list};
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = p_sl_start(sh, &boot);
    notes();
    say("start %d", r);
    if (r != 0)
        exit(3);
}

/* A process that may have no more than some threads' stacks of address space, whose engine then copies more than an arena of Go's heap holds. How many threads
   Go begins is a matter of load: no spare ones are made here. */
static void grow(void)
{
    const size_t arena = 64 << 20, threads = 48 << 20, rest = 8 << 20;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 20);
    pthread_setattr_default_np(&small);
    char *env = mmap(NULL, arena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const char *list[] = {"SLUICE_BROKER=/nonexistent", NULL, NULL};
    struct sl_boot boot = {.size = sizeof boot, .abi = SL_ABI, .door_fd = -1, .fd_min = 700, .env = list};
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("start %d", p_sl_start(sh, &boot));
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (fscanf(f, "%zu", &pages) != 1)
        exit(3);
    fclose(f);
    setrlimit(RLIMIT_AS, &(struct rlimit){pages * 4096 + threads, RLIM_INFINITY});
    say("the program's: %d", mmap(NULL, arena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0);
    memset(env, 'x', arena - rest); // the heap goes on in what is left of the arena: where the first one ends is a matter of luck
    list[1] = env;
    say("grown %d", p_sl_start(sh, &boot));
    notes();
}

static void cmd_listen(const char *ip, int port)
{
    struct sockaddr_storage ss = {0};
    socklen_t len;
    if (strchr(ip, ':')) {
        struct sockaddr_in6 *a = (void *)&ss;
        a->sin6_family = AF_INET6;
        a->sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, ip, &a->sin6_addr);
        len = sizeof *a;
    } else {
        struct sockaddr_in *a = (void *)&ss;
        a->sin_family = AF_INET;
        a->sin_port = htons((uint16_t)port);
        inet_pton(AF_INET, ip, &a->sin_addr);
        len = sizeof *a;
    }
    klistener = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(klistener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(klistener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(klistener, (struct sockaddr *)&ss, len) || listen(klistener, 128)) {
        say("kernel listen: %s", strerror(errno));
        return;
    }
    /* As the preload object does: a broker that gave no answer in time, on a machine with other work, may give one later. */
    for (int pause = 1; (listener = p_sl_listen(klistener, 128)) == SL_KERNEL && pause <= 4; pause *= 2) {
        drain();
        sleep((unsigned)pause);
    }
    drain();
    say("listen %d", listener);
}

static void cmd_connect(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    int k = socket(AF_INET, SOCK_STREAM, 0);
    int h = p_sl_connect(k, (struct sockaddr *)&a, sizeof a, 0);
    notes();
    say("connect %d", h);
    if (h >= 0)
        take(h, 0);
}

static void command(char *line)
{
    char word[32] = "", ip[64] = "";
    int n = 0;
    sscanf(line, "%31s %63s %d", word, ip, &n);
    if (!strcmp(word, "listen"))
        cmd_listen(ip, n);
    else if (!strcmp(word, "connect"))
        cmd_connect(ip, n);
    else if (!strcmp(word, "send")) {
        int h = atoi(ip);
        say("sent %zd", io(h, 1, line + 5, strlen(line + 5)));
    } else if (!strcmp(word, "info")) {
        struct tcp_info ti = {0};
        socklen_t len = sizeof ti;
        int r = p_sl_getsockopt(atoi(ip), IPPROTO_TCP, TCP_INFO, &ti, &len);
        say("info %d state %u unacked %u notsent %u cwnd %u mss %u retrans %u rto %u ready %#x", r, ti.tcpi_state, ti.tcpi_unacked,
            ti.tcpi_notsent_bytes, ti.tcpi_snd_cwnd, ti.tcpi_snd_mss, ti.tcpi_total_retrans, ti.tcpi_rto, sh->words[atoi(ip)].ready);
    } else if (!strcmp(word, "handover")) {
        for (int h = 0; h < MAX; h++)
            if (conn[h].used && conn[h].fd < 0)
                say("handover %d %s", h, p_sl_handover(h) >= 0 ? "ok" : "refused");
    } else if (!strcmp(word, "unlisten")) {
        int h = listener;
        listener = -1;
        say("unlisten %d", p_sl_close(h));
    } else if (!strcmp(word, "stats"))
        say("stats handles %u rx %lu tx %lu panics %lu", sh->handles, sh->rx_packets, sh->tx_packets, sh->panics);
    else if (!strcmp(word, "quit")) {
        say("stop %d", p_sl_stop());
        notes();
        exit(0);
    }
    notes();
}

static int timeout_ms(void)
{
    int64_t d = (int64_t)sh->deadline_ns;
    if (d == 0)
        return -1;
    d -= now_ns();
    return d <= 0 ? 0 : (int)(d / 1000000) + 1;
}

static void input(void)
{
    static char in[4096];
    static size_t have;
    ssize_t r = read(0, in + have, sizeof in - have - 1);
    if (r <= 0) { // the test is gone
        p_sl_stop();
        exit(0);
    }
    have += (size_t)r;
    in[have] = 0;
    for (char *nl; (nl = strchr(in, '\n'));) {
        *nl = 0;
        command(in);
        have -= (size_t)(nl + 1 - in);
        memmove(in, nl + 1, have + 1);
    }
}

static void kernel_echo(int i)
{
    char b[4096];
    ssize_t r = recv(kfds[i], b, sizeof b, MSG_DONTWAIT);
    if (r > 0)
        send(kfds[i], b, (size_t)r, MSG_NOSIGNAL);
    else if (r == 0 || errno != EAGAIN) {
        close(kfds[i]);
        kfds[i] = kfds[--nkfds];
    }
}

static void turn(void)
{
    struct pollfd p[2 + 1 + 2 * MAX];
    int n = 0, from = 0;
    p[n++] = (struct pollfd){0, POLLIN, 0};
    p[n++] = (struct pollfd){sh->wake_epfd, POLLIN, 0};
    p[n++] = (struct pollfd){klistener, POLLIN, 0};
    from = n;
    for (int i = 0; i < nkfds; i++)
        p[n++] = (struct pollfd){kfds[i], POLLIN, 0};
    int who[MAX], moved = n;
    for (int h = 0; h < MAX; h++)
        if (conn[h].used && conn[h].fd >= 0) {
            who[n - moved] = h;
            p[n++] = (struct pollfd){conn[h].fd, (short)(conn[h].len ? POLLOUT : POLLIN), 0};
        }
    poll(p, (nfds_t)n, timeout_ms());
    p_sl_poll(0);
    drain();
    if (p[2].revents & POLLIN) {
        int k = accept4(klistener, NULL, NULL, SOCK_NONBLOCK);
        if (k >= 0) {
            kfds[nkfds++] = k;
            say("accepted kernel");
        }
    }
    for (int i = moved - 1; i >= from; i--)
        if (p[i].revents)
            kernel_echo(i - from);
    for (int i = moved; i < n; i++)
        if (p[i].revents && conn[who[i - moved]].used)
            serve(who[i - moved]);
    if (p[0].revents)
        input();
    drain();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!so) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
#define X(name) p_##name = (__typeof__(p_##name))dlsym(so, #name);
    CALLS(X)
#undef X
    if (!strcmp(argv[2], "grow")) {
        grow();
        return 0;
    }
    start(argv[2]);
    for (;;)
        turn();
}
