#include "sleep.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"
#include "raw.h"
#include "ready.h"
#include "real.h"
#include "wait_frame.h"

static _Thread_local struct sleeper me __attribute__((tls_model("initial-exec"))) = { .fd = -1 };

#define IN_VAIN 4

_Atomic uint32_t sleep_looks;
_Atomic uint64_t keeper_until;
static struct sleeper *keeper;  // under the ready lock, as the list
static struct wakes wakes;      // under the ready lock
static _Atomic int waking;      // how many threads write to eventfds; raised under the ready lock
static struct sleeper *asleep;
static pthread_key_t exit_key;  // so that a thread that ends gives its eventfd back
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

struct sleeper *sleeper_self(void) { return &me; }

static void thread_ends(void *arg)
{
    struct sleeper *s = arg;
    frames_drop_all();
    sleeper_release();
    int fd = atomic_exchange(&s->fd, -1);
    if (fd >= 0) {
        sleepers_settle();
        own_drop(fd);
    }
}

static void make_key(void) { pthread_key_create(&exit_key, thread_ends); }

static void make_fd(void)
{
    if (atomic_load_explicit(&me.fd, memory_order_relaxed) >= 0)
        return;
    pthread_once(&exit_once, make_key);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return;
    fd = own_move(fd, &me.fd);
    atomic_store(&me.fd, fd);
    pthread_setspecific(exit_key, &me);
}

static void ring(int fd)
{
    uint64_t one = 1;
    (void)!real.write(fd, &one, sizeof one);
}

void sleeper_notify(struct sleeper *s)
{
    if (s->notified)
        return;
    s->notified = true;
    me.told = true;
    int fd = atomic_load_explicit(&s->fd, memory_order_relaxed);
    if (!s->asleep || fd < 0)
        return;
    if (wakes.n < WAKES)
        wakes.fd[wakes.n++] = fd;
    else
        ring(fd);
}

int wakes_take(struct wakes *w)
{
    if (wakes.n == 0)
        return 0;
    w->n = wakes.n;
    memcpy(w->fd, wakes.fd, sizeof w->fd[0] * (size_t)wakes.n);
    wakes.n = 0;
    atomic_fetch_add(&waking, 1);
    return w->n;
}

void wakes_ring(const struct wakes *w)
{
    for (int i = 0; i < w->n; i++)
        ring(w->fd[i]);
    atomic_fetch_sub(&waking, 1);
}

void sleepers_settle(void)
{
    static const struct timespec moment = { .tv_nsec = 20000 }; // a wake-up each; not sched_yield, which lets no thread of less priority run
    if (!shared()) // no engine, or a child forked behind our back: nobody writes, and the lock may be held by a thread that is not here
        return;
    ready_lock();
    while (atomic_load(&waking) > 0)
        RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
    ready_unlock();
}

void sleepers_wake(void)
{
    ready_lock();
    for (struct sleeper *s = asleep; s; s = s->next)
        if (s != &me)
            sleeper_notify(s);
    ready_unlock();
}

void sleep_check_deadline(struct sl_shared *s)
{
    uint64_t until = atomic_load(&keeper_until);
    uint64_t at = atomic_load(&s->deadline_ns);
    if (until == 0 || at == 0 || at >= until)
        return;
    ready_lock();
    if (keeper && keeper != &me)
        sleeper_notify(keeper);
    ready_unlock();
}

static _Atomic uint32_t rings_seen;

void sleep_check_rings(struct sl_shared *s)
{
    uint32_t changes = atomic_load_explicit(&s->ring_changes, memory_order_relaxed);
    if (__builtin_expect(changes == atomic_load_explicit(&rings_seen, memory_order_relaxed), 1))
        return;
    ready_lock();
    atomic_store(&rings_seen, changes);
    if (keeper && keeper != &me)
        sleeper_notify(keeper);
    ready_unlock();
}

static void list_asleep(void)
{
    me.prev = NULL;
    me.next = asleep;
    if (asleep)
        asleep->prev = &me;
    asleep = &me;
    me.asleep = true;
}

static void unlist_asleep(void)
{
    if (!me.asleep)
        return;
    if (me.prev)
        me.prev->next = me.next;
    else
        asleep = me.next;
    if (me.next)
        me.next->prev = me.prev;
    me.asleep = false;
}

// pass_on: the keeper leaves, or is of no use: another sleeper, or the helper when it comes by, becomes it.
static void pass_on(void)
{
    keeper = asleep;
    while (keeper && keeper->vain >= IN_VAIN)
        keeper = keeper->next;
    if (keeper)
        sleeper_notify(keeper); // the office is its own from here on: it may be about to leave, and has to pass it on then
    else
        helper_unpark();
}

// appoint makes this thread the keeper, unless it is no use as one. A program thread takes the office from the helper, which would be a hop between
// the packet and the thread it is for.
static bool appoint(void)
{
    if (keeper == &me && me.vain >= IN_VAIN)
        pass_on();
    if (me.vain < IN_VAIN && (keeper == NULL || keeper == helper_sleeper)) {
        if (keeper && keeper != &me)
            sleeper_notify(keeper);
        keeper = &me;
    }
    return keeper == &me;
}

// fall_asleep: false: notified meanwhile. *keeping: this thread is the keeper.
static bool fall_asleep(bool *keeping)
{
    ready_lock();
    bool sleep = !me.notified;
    me.notified = false;
    if (sleep) {
        *keeping = appoint();
        if (*keeping)
            atomic_store(&keeper_until, UINT64_MAX);
        list_asleep();
        me.told = false;
        me.looks = atomic_load_explicit(&sleep_looks, memory_order_relaxed);
    }
    ready_unlock();
    return sleep;
}

// awake: rung: this thread's eventfd was found readable. It may become so later than the thread is notified: another sleep ends at once then.
static void awake(bool rung)
{
    ready_lock();
    unlist_asleep();
    me.notified = false;
    if (keeper == &me)
        atomic_store(&keeper_until, 0);
    ready_unlock();
    uint64_t n;
    if (rung)
        (void)!real.read(atomic_load(&me.fd), &n, sizeof n);
}

void sleeper_release(void)
{
    ready_lock();
    unlist_asleep();
    if (keeper == &me) {
        atomic_store(&keeper_until, 0);
        pass_on();
    }
    ready_unlock();
}

void sleep_judge(bool mine)
{
    bool alone = atomic_load_explicit(&sleep_looks, memory_order_relaxed) == me.looks; // else nobody would have seen to the packets
    if (mine || me.told)
        me.vain = 0;
    else if (!alone)
        me.vain++;
}

void sleeper_leaves(void)
{
    if (me.asleep)
        sleeper_release();
}

// sleep_for: the time left, or NULL for ever. A thread without an eventfd (no descriptor left) looks again each millisecond.
static struct timespec *sleep_for(struct timespec *t, int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : deadline - now_ns();
    if (deadline >= 0 && left < 0)
        left = 0;
    if (atomic_load(&me.fd) < 0 && (left < 0 || left > 1000000))
        left = 1000000;
    if (left < 0)
        return NULL;
    t->tv_sec = left / 1000000000;
    t->tv_nsec = left % 1000000000;
    return t;
}

int sleep_engine(struct sl_shared *s, struct pollfd *fds)
{
    uint32_t rings = atomic_load_explicit(&s->nrings, memory_order_acquire);
    int n = 0;
    fds[n++] = (struct pollfd){ .fd = s->wake_epfd, .events = POLLIN };
    for (uint32_t i = 0; i < rings; i++) {
        int fd = atomic_load(&s->rings[i].tx_fd);
        if (fd > 0)
            fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    return n;
}

int sleep_until(struct sl_shared *s, struct pollfd *fds, int n, int64_t deadline, const sigset_t *mask, bool *engine)
{
    bool keeping = false;
    struct timespec t;
    *engine = false;
    make_fd();
    if (!fall_asleep(&keeping))
        return 0;
    atomic_fetch_add_explicit(&s->sleeps, 1, memory_order_relaxed);
    fds[n] = (struct pollfd){ .fd = atomic_load(&me.fd), .events = POLLIN };
    int more = keeping ? sleep_engine(s, fds + n + 1) : 0;
    if (keeping) { // keeper_until before deadline_ns is read: whoever makes the timer earlier after this sees us (sleep_check_deadline)
        uint64_t at = atomic_load(&s->deadline_ns);
        if (at != 0) {
            atomic_store(&keeper_until, at);
            if (deadline < 0 || (int64_t)at < deadline)
                deadline = (int64_t)at;
        }
    }
    int got = real.ppoll(fds, (nfds_t)(n + 1 + more), sleep_for(&t, deadline), mask);
    int err = errno;
    awake(got > 0 && fds[n].revents != 0);
    if (got < 0) {
        for (int i = 0; i < n; i++)
            fds[i].revents = 0;
        return err == EINTR ? -EINTR : 0;
    }
    for (int i = n + 1; i <= n + more; i++)
        if (fds[i].revents != 0)
            *engine = true, got--;
    return got - (fds[n].revents != 0);
}

void sleep_forked(void)
{
    keeper = asleep = NULL;
    wakes.n = 0;
    atomic_store(&waking, 0);
    atomic_store(&rings_seen, 0);
    atomic_store(&keeper_until, 0);
    own_close(&me.fd); // shared with the parent's thread
    me = (struct sleeper){ .fd = -1 };
}
