// epoll_wait and its variants.
#include <errno.h>
#include <limits.h>
#include <time.h>

#include "epoll_set.h"
#include "nest.h"
#include "ours.h"
#include "probe.h"
#include "real.h"
#include "wait_run.h"

#define MASK 8 // octets of a signal mask that the kernel reads

// The call as the program made it.
struct call {
    int ep;
    struct epoll_event *ev;
    int max;
    int ms;
    const struct timespec *ts; // epoll_pwait2's, if timed
    bool timed;
    const sigset_t *mask;
    struct file *file; // of the set, if it is one that sluice knows
    int64_t until; // ns, > 0: the kernel is waited for no longer than this, and then all is looked at again
};

// by_clock: in milliseconds, rounded up: what is waited for may be late, and not early.
static int by_clock(const struct call *c)
{
    int64_t left = c->until - now_ns();
    int64_t ms = left <= 0 ? 0 : left > INT_MAX * 1000000LL ? INT_MAX : (left + 999999) / 1000000;
    return real.epoll_pwait(c->ep, c->ev, c->max, (int)ms, c->mask);
}

static int by_kernel(const struct call *c)
{
    if (c->until > 0)
        return by_clock(c);
    if (c->timed)
        return real.epoll_pwait2(c->ep, c->ev, c->max, c->ts, c->mask);
    if (c->mask)
        return real.epoll_pwait(c->ep, c->ev, c->max, c->ms, c->mask);
    return real.epoll_wait(c->ep, c->ev, c->max, c->ms);
}

struct set_wait {
    struct wait wait;
    struct ep_set *set;
    struct file *file; // of the set
    struct epoll_event *ev;
    int max;
};

// kernel_share: how many events the kernel may fill in before the engine's, so that with little room both get their turn.
static int kernel_share(struct set_wait *w)
{
    int ours = atomic_load_explicit(&w->set->nready, memory_order_relaxed);
    bool turn = atomic_load_explicit(&w->set->kernel_turn, memory_order_relaxed);
    atomic_store_explicit(&w->set->kernel_turn, !turn, memory_order_relaxed);
    if (ours == 0 || !turn)
        return w->max;
    return ours < w->max ? w->max - ours : w->max > 1;
}

static int from_kernel(struct set_wait *w, int room)
{
    if (room == 0)
        return 0;
    if (atomic_load(&w->set->adding)) // that may be what woke us: until it is over
        ready_lock(), ready_unlock();
    int n = real.epoll_wait(set_fd(w->set), w->ev, room, 0);
    return n < 0 ? 0 : n;
}

// merge translates what the kernel gave and adds the engine's. Takes the lock.
static int merge(struct set_wait *w, int n)
{
    struct ep_set *set = w->set;
    ready_lock();
    uint32_t round = ++set->rounds;
    n = set_translate(set, w->ev, n, round);
    n = set_collect(w->wait.shared, set, w->ev, n, w->max, round);
    if (set->nready > 0)
        set_wake_one(set);
    if (set->nested)
        nest_refresh(set);
    ready_unlock();
    return n;
}

static bool set_peek(struct wait *wait)
{
    struct set_wait *w = (struct set_wait *)wait;
    return atomic_load_explicit(&w->set->nready, memory_order_relaxed) > 0;
}

// refused: there is no memory for events. If there is one it stays, and the call fails; else it waits on.
static int refused(struct set_wait *w)
{
    ready_lock();
    bool any = nest_any(w->set);
    ready_unlock();
    if (any || real.epoll_wait(set_fd(w->set), w->ev, 1, 0) < 0)
        return -EFAULT;
    w->wait.kernel = 0;
    return 0;
}

static int set_check(struct wait *wait)
{
    struct set_wait *w = (struct set_wait *)wait;
    int n = 0, room = 0;
    if (wait->kernel == 0 && !set_peek(wait))
        return 0;
    if (!event_fits(w->ev))
        return refused(w);
    if (wait->kernel != 0) {
        room = kernel_share(w);
        n = from_kernel(w, room);
    }
    int got = merge(w, n);
    if (got == 0 && wait->kernel != 0 && room < w->max) // ours were ready no more: the kernel's may be
        got = merge(w, from_kernel(w, w->max));
    if (got == 0)
        wait->kernel = 0;
    return got;
}

static bool set_arm(struct wait *wait, struct frame *f)
{
    set_thread_joins(((struct set_wait *)wait)->set, f);
    return true;
}

static void set_release(struct wait *wait) { file_put(((struct set_wait *)wait)->file); }

static int by_both(const struct call *c, struct ep_set *set, struct sl_shared *s, int64_t deadline)
{
    struct set_wait w = {
        .wait = { .check = set_check, .peek = set_peek, .arm = set_arm, .release = set_release, .deadline = deadline, .mask = c->mask, .nfds = 1,
                  .kernel = -1, .shared = s },
        .set = set,
        .file = c->file,
        .ev = c->ev,
        .max = c->max,
    };
    struct pollfd fds[1 + SLEEP_MORE];
    fds[0] = (struct pollfd){ .fd = set_fd(set), .events = POLLIN };
    w.wait.fds = fds;
    int r = wait_run(&w.wait);
    kick_batch(r);
    return r < 0 ? (errno = -r, -1) : r;
}

// join puts listeners of the set that are not in the engine there, if they can be by now. Returns when to try again even if nothing
// happens until then, -1: never.
static int64_t join(struct ep_set *set)
{
    int64_t look = -1;
    ready_lock();
    int n = 0;
    struct { int fd; struct file *f; } todo[16];
    for (struct ep_item *it = set->listeners; it && n < 16; it = it->next)
        if (it->handle < 0)
            todo[n].fd = it->fd, todo[n++].f = it->file;
    ready_unlock();
    for (int i = 0; i < n; i++) {
        struct file *f = file_get(todo[i].fd);
        if (f && f == todo[i].f && f->kind == FD_LISTENER && (atomic_load(&f->handle) >= 0 || listener_need(todo[i].fd, f)))
            epoll_joined(todo[i].fd, f);
        else if (f && f == todo[i].f)
            look = earlier(look, listener_retry(f));
        file_put(f);
    }
    return look;
}

// by_kernel_alone: the set has only kernel members now, or no engine runs. Members may come while we wait: the bell tells.
static int by_kernel_alone(const struct call *c, struct ep_set *set, bool *again)
{
    atomic_fetch_add(&set->plain, 1);
    *again = false;
    if (atomic_load(&set->active) > 0 && shared()) {
        atomic_fetch_sub(&set->plain, 1);
        *again = true;
        return 0;
    }
    int n = by_kernel(c), had = n;
    int err = errno;
    atomic_fetch_sub(&set->plain, 1);
    if (n > 0 && (set->listeners || atomic_load(&set->bell) >= 0)) {
        ready_lock();
        n = set_translate(set, c->ev, n, ++set->rounds);
        ready_unlock();
    }
    *again = had > 0 && n == 0;
    errno = err;
    return n;
}

// wait_for waits by the one or the other. While a listener is to be offered again, nobody may come to wake us: the other processes of
// the server have the queues, and get all connections.
static int wait_for(struct call *c, struct ep_set *set, int64_t deadline, int64_t look)
{
    int r = 0;
    for (bool again = true; again;) {
        struct sl_shared *s = shared();
        if (look >= 0 || c->until > 0)
            c->until = earlier(look, deadline);
        again = false;
        if (s && atomic_load(&set->active) > 0)
            r = by_both(c, set, s, earlier(look, deadline));
        else
            r = by_kernel_alone(c, set, &again);
        if (r == 0 && look >= 0 && earlier(look, deadline) == look) {
            look = join(set);
            again = true;
        }
    }
    return r;
}

static int wait_call(struct call *c)
{
    struct ep_set *set = set_of(c->ep, &c->file);
    if (!set || c->max <= 0 || c->max > INT_MAX / (int)sizeof *c->ev || (c->mask && !probe_there(c->mask, MASK))) {
        int r = by_kernel(c);
        file_put(c->file);
        return r;
    }
    int64_t deadline = -1;
    bool there = !c->ts || probe_there(c->ts, sizeof *c->ts);
    int bad = !there ? -EFAULT : c->timed ? deadline_ts(c->ts, &deadline) : 0;
    if (!c->timed)
        deadline = deadline_ms(c->ms);
    int64_t look = set->detached ? join(set) : -1;
    if (set->foreign)
        epoll_adopt(set);
    if (set->holds_sets)
        nest_settle();
    int r = bad ? (errno = -bad, -1) : wait_for(c, set, deadline, look);
    file_put(c->file);
    return r;
}

// theirs: a set that sluice knows nothing of, as all are in a program of which nothing is selected. Asked before the call is written down,
// which was 19 of the 21 ns that passing it on cost.
static inline bool theirs(int ep) { return fd_kind(ep) != FD_EPOLL; }

INTERPOSE int epoll_wait(int ep, struct epoll_event *ev, int max, int ms)
{
    if (theirs(ep))
        return real.epoll_wait(ep, ev, max, ms);
    struct call c = { .ep = ep, .ev = ev, .max = max, .ms = ms };
    return wait_call(&c);
}

INTERPOSE int epoll_pwait(int ep, struct epoll_event *ev, int max, int ms, const sigset_t *mask)
{
    if (theirs(ep))
        return real.epoll_pwait(ep, ev, max, ms, mask);
    struct call c = { .ep = ep, .ev = ev, .max = max, .ms = ms, .mask = mask };
    return wait_call(&c);
}

INTERPOSE int epoll_pwait2(int ep, struct epoll_event *ev, int max, const struct timespec *t, const sigset_t *mask)
{
    if (theirs(ep))
        return real.epoll_pwait2(ep, ev, max, t, mask);
    struct call c = { .ep = ep, .ev = ev, .max = max, .timed = true, .ts = t, .mask = mask };
    return wait_call(&c);
}
