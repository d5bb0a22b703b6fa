#include "kconn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>

#include "await.h"
#include "clock.h"
#include "fresh.h"
#include "raw.h"

#define SHUT 0x80000000u // a move is under way, or was done
#define GONE 0x40000000u
#define INSIDE (GONE - 1)

#define SHUT_PATIENCE 100000000 // ns that a move waits for calls in progress

struct file *kconn_new(void) { return shared() ? file_new(FD_KCONN) : NULL; }

int kconn_bind(int fd)
{
    struct file *k = fd >= 0 ? kconn_new() : NULL;
    if (!k) {
        if (fd >= 0) {
            fresh_accepted(fd);
            await_engine();
        }
        return fd;
    }
    fd_bind(fd, k);
    file_put(k);
    return fd;
}

bool conn_here(int fd)
{
    struct file *f = fd_kind(fd) == FD_CONN ? file_get(fd) : NULL;
    struct sl_shared *s = shared();
    int h = f ? atomic_load(&f->handle) : -1;
    bool here = s && h >= 0 && f->kind == FD_CONN && atomic_load(&s->words[h].moved) == 0;
    file_put(f);
    return here;
}

static void nap(void)
{
    struct timespec t = { .tv_nsec = 20000 };
    RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

struct file *kconn_enter(int fd)
{
    for (;;) {
        struct file *k = file_get(fd);
        if (!k || k->kind != FD_KCONN) {
            file_put(k);
            return NULL;
        }
        uint32_t was = atomic_fetch_add(&k->gate, 1);
        if (!(was & SHUT) && file_is(k, fd))
            return k;
        kconn_leave(k);
        if (was & SHUT)
            nap();
    }
}

void kconn_leave(struct file *k)
{
    atomic_fetch_sub(&k->gate, 1);
    file_put(k);
}

bool kconn_shut(struct file *k)
{
    int64_t until = now_ns() + SHUT_PATIENCE;
    if (atomic_fetch_or(&k->gate, SHUT) & SHUT)
        return false;
    while (atomic_load(&k->gate) & INSIDE) {
        if (now_ns() > until) {
            kconn_open(k);
            return false;
        }
        nap();
    }
    return true;
}

void kconn_open(struct file *k) { atomic_fetch_and(&k->gate, ~SHUT); }
void kconn_gone(struct file *k) { atomic_fetch_or(&k->gate, GONE); }
bool kconn_moving(struct file *k) { return atomic_load(&k->gate) & SHUT; }
bool kconn_busy(struct file *k) { return atomic_load(&k->gate) & INSIDE; }

void kconn_pin(int fd)
{
    struct file *k = fd_kind(fd) == FD_KCONN ? file_get(fd) : NULL;
    if (k)
        atomic_store(&k->pinned, true);
    else
        fresh_kernels(fd);
    file_put(k);
}

// moves_along: fallback/repair and the shim carry the option from one side to the other.
static bool moves_along(int level, int name)
{
    switch (level << 16 | name) {
#define OPT(level, name) case level << 16 | name:
    OPT(SOL_SOCKET, SO_KEEPALIVE) OPT(SOL_SOCKET, SO_LINGER) OPT(SOL_SOCKET, SO_RCVBUF) OPT(SOL_SOCKET, SO_SNDBUF)
    OPT(SOL_SOCKET, SO_RCVTIMEO) OPT(SOL_SOCKET, SO_SNDTIMEO) OPT(SOL_SOCKET, SO_RCVLOWAT) OPT(SOL_SOCKET, SO_REUSEADDR)
    OPT(SOL_SOCKET, SO_REUSEPORT)
    OPT(IPPROTO_TCP, TCP_NODELAY) OPT(IPPROTO_TCP, TCP_CORK) OPT(IPPROTO_TCP, TCP_KEEPIDLE) OPT(IPPROTO_TCP, TCP_KEEPINTVL)
    OPT(IPPROTO_TCP, TCP_KEEPCNT) OPT(IPPROTO_TCP, TCP_USER_TIMEOUT) OPT(IPPROTO_TCP, TCP_CONGESTION) OPT(IPPROTO_TCP, TCP_QUICKACK)
    OPT(IPPROTO_IP, IP_TOS) OPT(IPPROTO_IPV6, IPV6_TCLASS)
        return true;
#undef OPT
    }
    return false;
}

void kconn_option(int fd, int level, int name)
{
    if (!moves_along(level, name))
        kconn_pin(fd);
}
