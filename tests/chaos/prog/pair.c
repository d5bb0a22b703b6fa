// Streams in both directions whose every octet is known, and looked at:
//
//	pair serve ADDRESS PORT
//	pair call ADDRESS PORT CONNECTIONS OCTETS
//
// A caller begins each connection with a seed; then both ends send OCTETS octets that follow from it, end their stream, and expect the
// other's to be whole. The caller begins again, for ever. Lines of output: "octets N" (received right so far, ten times a second), "error BEGAN WHAT
// ERRNO" (a connection failed that began at BEGAN, milliseconds of CLOCK_MONOTONIC), "wrong ..." (never).
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 << 10 };

struct head {
    uint64_t seed, octets;
};

static _Atomic uint64_t received;
static struct sockaddr_in to;
static uint64_t octets;

static void nap_ms(long ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static void say(const char *what, const char *name)
{
    char line[200];
    int n = snprintf(line, sizeof line, "%s %s\n", what, name);
    (void)!write(1, line, (size_t)n);
}

// fill makes the octets from at on: eight at a time follow from their place.
static void fill(unsigned char *b, size_t n, uint64_t seed, uint64_t at)
{
    for (size_t i = 0; i < n; i++, at++) {
        uint64_t x = (at >> 3) * 0x9e3779b97f4a7c15ull + seed;
        x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
        b[i] = (unsigned char)(x >> (at & 7) * 8);
    }
}

struct stream {
    int fd;
    struct head head;
    uint64_t out, in;      // how far
    uint64_t out_seed, in_seed;
    bool shut, over;
    long long began; // ms
};

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

// why: of a connection that was reset since the last call shutdown says only that there is none (inet_shutdown); SO_ERROR says why.
static void why(int fd)
{
    int err = 0;
    socklen_t n = sizeof err;
    if (errno == ENOTCONN && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0)
        errno = err ? err : ENOTCONN;
}

// Each returns NULL, or what failed.
static const char *give(struct stream *s)
{
    unsigned char b[CHUNK];
    uint64_t left = s->head.octets - s->out;
    size_t n = left < CHUNK ? (size_t)left : CHUNK;
    if (n > 0) {
        fill(b, n, s->out_seed, s->out);
        ssize_t r = send(s->fd, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0)
            return errno == EAGAIN || errno == EINTR ? NULL : "send";
        s->out += (uint64_t)r;
    }
    if (s->out == s->head.octets && !s->shut) {
        s->shut = true;
        if (shutdown(s->fd, SHUT_WR) != 0) {
            why(s->fd);
            return "shutdown";
        }
    }
    return NULL;
}

static const char *take(struct stream *s)
{
    unsigned char b[CHUNK], right[CHUNK];
    ssize_t r = recv(s->fd, b, sizeof b, MSG_DONTWAIT);
    if (r < 0)
        return errno == EAGAIN || errno == EINTR ? NULL : "recv";
    if (r == 0) {
        s->over = true;
        errno = ECONNABORTED;
        return s->in == s->head.octets ? NULL : "end";
    }
    fill(right, (size_t)r, s->in_seed, s->in);
    if (memcmp(b, right, (size_t)r) != 0 || s->in + (uint64_t)r > s->head.octets) {
        say("wrong", "octets");
        errno = EILSEQ;
        return "octets";
    }
    s->in += (uint64_t)r;
    atomic_fetch_add(&received, (uint64_t)r);
    return NULL;
}

static const char *both(struct stream *s)
{
    const char *failed = NULL;
    while (!failed && !(s->over && s->shut)) {
        struct pollfd p = { s->fd, (short)((s->over ? 0 : POLLIN) | (s->shut ? 0 : POLLOUT)), 0 };
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return "poll";
        if (p.revents & (POLLIN | POLLERR | POLLHUP) && !s->over)
            failed = take(s);
        if (!failed && p.revents & (POLLOUT | POLLERR | POLLHUP) && !s->shut)
            failed = give(s);
    }
    return failed;
}

static void told(const struct stream *s, const char *what)
{
    char text[100];
    snprintf(text, sizeof text, "%lld %s %s", s->began, what, strerrorname_np(errno));
    say("error", text);
}

static const char *attempt(struct stream *s)
{
    if (connect(s->fd, (void *)&to, sizeof to) != 0)
        return "connect";
    if (send(s->fd, &s->head, sizeof s->head, MSG_NOSIGNAL) != sizeof s->head)
        return "send";
    return both(s);
}

static void *caller(void *arg)
{
    for (uint64_t seed = (uint64_t)(uintptr_t)arg << 32;; seed++) {
        struct stream s = { .began = now_ms(), .fd = socket(AF_INET, SOCK_STREAM, 0), .head = { seed, octets }, .out_seed = seed, .in_seed = ~seed };
        const char *failed = s.fd < 0 ? "socket" : attempt(&s);
        if (failed)
            told(&s, failed), nap_ms(20);
        if (s.fd >= 0)
            close(s.fd);
    }
    return NULL;
}

static void *server(void *arg)
{
    struct stream s = { .began = now_ms(), .fd = (int)(intptr_t)arg };
    if (recv(s.fd, &s.head, sizeof s.head, MSG_WAITALL) == sizeof s.head) {
        s.out_seed = ~s.head.seed, s.in_seed = s.head.seed;
        const char *failed = both(&s);
        if (failed)
            told(&s, failed);
    }
    close(s.fd);
    return NULL;
}

static void serve(void)
{
    int l = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l, (void *)&to, sizeof to) != 0 || listen(l, 128) != 0) {
        told(&(struct stream){ .began = now_ms() }, "listen");
        exit(1);
    }
    for (;;) {
        pthread_t id;
        int fd = accept(l, NULL, NULL);
        if (fd < 0 || pthread_create(&id, NULL, server, (void *)(intptr_t)fd) != 0) {
            if (fd >= 0)
                close(fd);
            nap_ms(10);
            continue;
        }
        pthread_detach(id);
    }
}

static void *report(void *arg)
{
    (void)arg;
    for (;; nap_ms(100)) {
        char n[32];
        snprintf(n, sizeof n, "%llu", (unsigned long long)atomic_load(&received));
        say("octets", n);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t id;
    if (argc < 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])), .sin_addr.s_addr = inet_addr(argv[2]) };
    if (strcmp(argv[1], "serve") == 0)
        serve();
    octets = strtoull(argv[5], NULL, 0);
    for (intptr_t i = 0; i < atoi(argv[4]); i++)
        pthread_create(&id, NULL, caller, (void *)(i + 1));
    report(NULL);
}
