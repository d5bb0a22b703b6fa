// poll and ppoll.
#include "poll_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach.h"
#include "clock.h"
#include "kconn.h"
#include "nest.h"
#include "ours.h"
#include "probe.h"
#include "real.h"
#include "wait_run.h"

// One entry of the program's array that the engine serves (too).
struct served {
    struct file *file;
    int index, handle;
    uint32_t mask;
};

struct poll_wait {
    struct wait wait;
    struct pollfd *fds; // the program's
    nfds_t n;
    struct served *served;
    int nserved;
    uint32_t gen;     // attach_gen when it was looked at what is whose
    bool kernel_none; // nothing for the kernel to look at
    int64_t offer;    // when to offer a listener again that the engine refused, -1: never
    void *memory;
};

static bool poll_peek(struct wait *wait)
{
    struct poll_wait *p = (struct poll_wait *)wait;
    for (int i = 0; i < p->nserved; i++)
        if (ready_bits(wait->shared, p->served[i].handle) & p->served[i].mask)
            return true;
    return false;
}

static int poll_check(struct wait *wait)
{
    struct poll_wait *p = (struct poll_wait *)wait;
    if (wait->kernel < 0)
        wait->kernel = p->kernel_none ? 0 : real.poll(wait->fds, p->n, 0);
    if (atomic_load(&attach_gen) != p->gen)
        return -EAGAIN; // some of the kernel's may be the engine's now, and their old sockets hang up
    if (wait->kernel < 0)
        return -errno;
    if (wait->kernel == 0 && !poll_peek(wait))
        return 0;
    int count = 0;
    for (nfds_t i = 0; i < p->n && wait->kernel == 0; i++)
        wait->fds[i].revents = 0;
    for (int i = 0; i < p->nserved; i++) {
        struct served *e = &p->served[i];
        uint32_t bits = ready_bits(wait->shared, e->handle);
        if (bits == MOVED_BITS)
            return -EAGAIN; // the kernel's now: settle and begin again
        wait->fds[e->index].revents |= (short)(bits & e->mask);
    }
    for (nfds_t i = 0; i < p->n; i++) {
        count += wait->fds[i].revents != 0;
        if (!probe_copy(&p->fds[i].revents, &wait->fds[i].revents, sizeof wait->fds[i].revents))
            return -EFAULT;
    }
    return count;
}

static bool poll_arm(struct wait *wait, struct frame *f)
{
    struct poll_wait *p = (struct poll_wait *)wait;
    struct waiter *w = frame_memory(f, (size_t)p->nserved * sizeof *w + 1);
    if (!w)
        return false;
    f->waiters = w;
    f->nwaiters = p->nserved;
    for (int i = 0; i < p->nserved; i++) {
        w[i] = (struct waiter){ .who = f->who, .events = p->served[i].mask };
        waiter_add(&w[i], p->served[i].handle);
    }
    return true;
}

static void poll_release(struct wait *wait)
{
    struct poll_wait *p = (struct poll_wait *)wait;
    for (int i = 0; i < p->nserved; i++)
        file_put(p->served[i].file);
    free(p->memory);
}

bool poll_ours(int fd)
{
    switch (fd_kind(fd)) {
    case FD_LISTENER:
    case FD_CONN:
    case FD_KCONN:
        return true;
    case FD_EPOLL:
        return nest_watch(fd);
    default:
        return false;
    }
}

// settle_kconn waits while the connection is being moved.
static void settle_kconn(int fd)
{
    struct file *k = kconn_enter(fd);
    if (k)
        kconn_leave(k);
}

// serve adds entry i if the engine has its descriptor. The kernel polls listeners too, but no placeholder.
static void serve(struct poll_wait *p, nfds_t i)
{
    struct pollfd *k = &p->wait.fds[i];
    enum fd_kind kind = fd_kind(k->fd);
    struct file *f = NULL;
    if (kind == FD_KCONN)
        settle_kconn(k->fd);
    if (kind == FD_CONN || kind == FD_KCONN)
        f = conn_get(k->fd);
    else if (kind == FD_LISTENER)
        f = file_get(k->fd);
    if (!f)
        return;
    if (kind == FD_LISTENER && atomic_load(&f->handle) < 0 && !listener_need(k->fd, f))
        p->offer = earlier(p->offer, listener_retry(f));
    int h = atomic_load(&f->handle);
    if (h < 0 || !shared()) {
        file_put(f);
        return;
    }
    uint32_t mask = (uint16_t)k->events | POLLERR | POLLHUP;
    p->served[p->nserved++] = (struct served){ .file = f, .index = (int)i, .handle = h, .mask = mask };
    if (kind != FD_LISTENER)
        k->fd = -1;
}

// by_kernel polls when no engine runs. -ENOSYS: the kernel's call does it as well.
static int by_kernel(const struct poll_wait *p)
{
    if (p->offer < 0)
        return -ENOSYS;
    int64_t until = p->wait.deadline, left = until > 0 ? until - now_ns() : 0;
    left = left < 0 ? 0 : left;
    struct timespec t = { left / 1000000000, left % 1000000000 };
    int r = real.ppoll(p->fds, p->n, &t, p->wait.mask);
    return r < 0 ? -errno : r;
}

// closed: another thread closed a descriptor, or made something else of it: the kernel looks at it anew when anything wakes the call, or its time is over.
static bool closed(const struct poll_wait *p)
{
    for (int i = 0; i < p->nserved; i++)
        if (!file_is(p->served[i].file, p->fds[p->served[i].index].fd))
            return true;
    return false;
}

// poll_once: -EAGAIN: begin again; -ERESTART: a signal ended the wait, and what the descriptors are is to be looked at anew.
static int poll_once(struct pollfd *fds, nfds_t n, int64_t deadline, const sigset_t *mask, void *memory, struct pollfd *kfds, struct served *served)
{
    struct poll_wait p = {
        .wait = { .check = poll_check, .peek = poll_peek, .arm = poll_arm, .release = poll_release, .deadline = deadline, .mask = mask,
                  .fds = kfds, .nfds = (int)n, .kernel = -1 },
        .fds = fds, .n = n, .served = served, .memory = memory, .gen = atomic_load(&attach_gen), .offer = -1,
    };
    memcpy(kfds, fds, n * sizeof *fds);
    p.kernel_none = true;
    for (nfds_t i = 0; i < n; i++) {
        serve(&p, i);
        if (kfds[i].fd >= 0)
            p.kernel_none = false;
    }
    p.wait.shared = shared();
    // While a listener is to be offered again, nobody may come to wake us: the other processes of the server have the queues.
    bool pause = p.offer >= 0 && earlier(p.offer, deadline) != deadline;
    if (pause)
        p.wait.deadline = p.offer;
    int r = p.wait.shared ? wait_run(&p.wait) : by_kernel(&p);
    if ((r == 0 && pause) || (r >= 0 && closed(&p)))
        r = -EAGAIN;
    if (r == -EINTR && closed(&p))
        r = -ERESTART;
    p.memory = NULL; // the caller's to free
    poll_release(&p.wait);
    return r;
}

#define ON_STACK 128

int poll_run(struct pollfd *fds, nfds_t n, int64_t deadline, const sigset_t *mask)
{
    struct pollfd some[ON_STACK + SLEEP_MORE];
    struct served few[ON_STACK];
    struct pollfd *kfds = some;
    struct served *served = few;
    void *memory = NULL;
    if (n > ON_STACK) {
        memory = malloc((n + SLEEP_MORE) * sizeof *kfds + n * sizeof *served);
        if (!memory)
            return -ENOMEM;
        served = memory;
        kfds = (struct pollfd *)(served + n);
    }
    int r;
    bool interrupted = false;
    do {
        r = poll_once(fds, n, interrupted ? 0 : deadline, mask, memory, kfds, served);
        interrupted = interrupted || r == -ERESTART;
    } while (r == -EAGAIN || r == -ERESTART);
    free(memory);
    if (r == 0 && interrupted)
        r = -EINTR;
    static const short none;
    if (r <= 0 && r != -ENOSYS)
        for (nfds_t i = 0; i < n; i++)
            if (!probe_copy(&fds[i].revents, &none, sizeof none))
                return -EFAULT;
    return r;
}

static bool any_ours(struct pollfd *fds, nfds_t n)
{
    if (atomic_load_explicit(&fd_files, memory_order_relaxed) == 0 || n > FD_MAX || !probe_there(fds, n * sizeof *fds))
        return false;
    for (nfds_t i = 0; i < n; i++)
        if (fd_load(fds[i].fd) != 0 && poll_ours(fds[i].fd))
            return true;
    return false;
}

// engine_serves: there is something of ours among fds, and after listeners were offered to the engine, an engine; or one is to be offered again.
static bool engine_serves(struct pollfd *fds, nfds_t n)
{
    if (!any_ours(fds, n))
        return false;
    bool again = false;
    for (nfds_t i = 0; i < n && !shared(); i++)
        if (fd_kind(fds[i].fd) == FD_LISTENER) {
            struct file *f = file_get(fds[i].fd);
            if (f && f->kind == FD_LISTENER && !listener_need(fds[i].fd, f))
                again = again || listener_retry(f) >= 0;
            file_put(f);
        } else if (fd_kind(fds[i].fd) == FD_CONN) {
            file_put(conn_get(fds[i].fd)); // inherited: becomes the kernel's
        }
    return again || shared() != NULL;
}

static int result(int r)
{
    if (r >= 0)
        return r;
    errno = -r;
    return -1;
}

INTERPOSE int poll(struct pollfd *fds, nfds_t n, int ms)
{
    if (!engine_serves(fds, n))
        return real.poll(fds, n, ms);
    int r = poll_run(fds, n, deadline_ms(ms), NULL);
    return r == -ENOSYS ? real.poll(fds, n, ms) : result(r);
}

INTERPOSE int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask)
{
    int64_t deadline;
    if (!engine_serves(fds, n) || (t && !probe_there(t, sizeof *t)) || (mask && !probe_there(mask, 8)))
        return real.ppoll(fds, n, t, mask);
    int r = deadline_ts(t, &deadline);
    if (r == 0)
        r = poll_run(fds, n, deadline, mask);
    return r == -ENOSYS ? real.ppoll(fds, n, t, mask) : result(r);
}
