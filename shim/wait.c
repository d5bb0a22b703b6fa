#include "wait.h"

#include <errno.h>
#include <time.h>

#include "knobs.h"
#include "pause.h"
#include "plain.h"
#include "real.h"
#include "spin.h"
#include "stage.h"
#include "wait_run.h"
#include "usdt.h"

static _Thread_local spin_memory lately __attribute__((tls_model("initial-exec")));

// Which handlers had run in this thread when the wait began.
struct signals {
    unsigned any, plain;
};

// interrupted: a handler ran that ends the wait with EINTR.
static bool interrupted(const struct wait *w, const struct signals *before)
{
    return w->restart ? sig_plain != before->plain : sig_any != before->any;
}

static bool over(const struct wait *w, int64_t now) { return w->deadline >= 0 && now >= w->deadline; }

static bool unanswered(const struct wait *w) { return atomic_load_explicit(&w->shared->unanswered, memory_order_relaxed); }

// look lets the engine work if it should, then checks. If there is nothing for the program, it has no answer to what came in meanwhile either.
static int look(struct wait *w, bool force)
{
    if (w->early && w->early(w))
        return 1;
    engine_wait(w->shared, force);
    int r = w->check(w);
    for (int i = 0; i < 3 && r == 0 && unanswered(w); i++) {
        engine_wait(w->shared, true);
        r = w->check(w);
    }
    return r;
}

// spin looks without sleeping for a while. The kernel's descriptors are left to the sleep that follows.
static int spin(struct wait *w, const struct signals *before, int64_t now)
{
    int64_t end = now + knobs.spin_usec * 1000LL;
    atomic_fetch_add_explicit(&w->shared->spins, 1, memory_order_relaxed);
    while (now < end && !over(w, now) && !interrupted(w, before)) {
        if (engine_due(w->shared) || w->peek(w)) {
            int r = look(w, false);
            if (r != 0)
                return r;
        }
        pause_cpu();
        now = now_ns();
    }
    return 0;
}

// expired is the last look of a wait whose time has passed: signals that mask lets through arrive now, as in the kernel.
static int expired(struct wait *w)
{
    static const struct timespec none;
    if (!w->mask)
        return 0;
    w->kernel = real.ppoll(w->fds, (nfds_t)w->nfds, &none, w->mask);
    if (w->kernel < 0) {
        int err = errno;
        w->kernel = 0;
        return -err;
    }
    return w->kernel > 0 ? w->check(w) : 0;
}

// sleep_loop: all signals are blocked but inside ppoll, so that a handler either runs there, and ends the call, or has run before.
static int sleep_loop(struct wait *w, const sigset_t *mask, const struct signals *before)
{
    bool engine = false;
    int r = look(w, false);
    while (r == 0) {
        if (interrupted(w, before))
            return -EINTR;
        if (over(w, now_ns()))
            return expired(w);
        PROBE(sleep, w->nfds, w->deadline);
        w->kernel = sleep_until(w->shared, w->fds, w->nfds, w->deadline, mask, &engine);
        PROBE(wake, w->kernel, engine);
        bool signalled = w->kernel < 0;
        if (signalled)
            w->kernel = 0;
        r = look(w, engine);
        if (engine || r > 0)
            sleep_judge(r > 0);
        if (r == 0 && signalled && (!w->restart || sig_plain != before->plain || sig_any == before->any))
            return -EINTR;
    }
    return r;
}

struct undo {
    struct frame *frame;
    sigset_t mask;
};

static void wake_up(void *arg)
{
    struct undo *u = arg;
    frame_leave(u->frame);
    pthread_sigmask(SIG_SETMASK, &u->mask, NULL);
}

static int sleep_armed(struct wait *w, const struct signals *before)
{
    struct undo u;
    sigset_t all;
    int r;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &u.mask);
    u.frame = frame_enter();
    pthread_cleanup_push(wake_up, &u);
    bool armed = false;
    if (u.frame) {
        ready_lock();
        armed = w->arm(w, u.frame);
        ready_unlock();
    }
    if (armed)
        r = sleep_loop(w, w->mask ? w->mask : &u.mask, before);
    else
        r = -EINTR; // too deep in signal handlers that wait: let the program ask again
    pthread_cleanup_pop(1);
    return r;
}

static int run(struct wait *w)
{
    struct signals before = { sig_any, sig_plain };
    stage_end();
    kick_end(w->shared);
    sleep_looked();
    int r = look(w, unanswered(w));
    if (r != 0)
        return r;
    pthread_testcancel();
    if (w->deadline >= 0 && over(w, now_ns()))
        return expired(w);
    int64_t began = now_ns(), took = 0;
    r = spin_pays(lately) ? spin(w, &before, began) : 0;
    if (r == 0) {
        r = sleep_armed(w, &before);
        took = now_ns() - began;
    }
    spin_learn(&lately, took, knobs.spin_usec);
    return r;
}

// let_go: the thread was cancelled, perhaps before it slept, and will not give back what its call holds.
static void let_go(void *w)
{
    if (((struct wait *)w)->release)
        ((struct wait *)w)->release(w);
}

int wait_run(struct wait *w)
{
    int r;
    pthread_cleanup_push(let_go, w);
    r = run(w);
    pthread_cleanup_pop(0);
    return r;
}

int64_t deadline_ms(int ms)
{
    return ms < 0 ? -1 : ms == 0 ? 0 : now_ns() + ms * 1000000LL;
}

int deadline_ts(const struct timespec *t, int64_t *deadline)
{
    *deadline = -1;
    if (!t)
        return 0;
    if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= 1000000000)
        return -EINVAL;
    int64_t max = INT64_MAX / 1000000000 / 2;
    int64_t ns = (t->tv_sec > max ? max : t->tv_sec) * 1000000000LL + t->tv_nsec;
    *deadline = ns == 0 ? 0 : now_ns() + ns;
    return 0;
}

// One handle, and for a listener its kernel side too.
struct wait_one {
    struct wait wait;
    int handle;
    uint32_t events;
};

static bool one_peek(struct wait *w)
{
    struct wait_one *o = (struct wait_one *)w;
    return (ready_bits(w->shared, o->handle) & o->events) != 0;
}

static bool one_early(struct wait *w) { return plain_waits(w->shared, ((struct wait_one *)w)->handle); }

static int one_check(struct wait *w)
{
    if (w->kernel < 0)
        w->kernel = w->nfds ? real.poll(w->fds, (nfds_t)w->nfds, 0) : 0;
    return w->kernel > 0 || one_peek(w);
}

static bool one_arm(struct wait *w, struct frame *f)
{
    struct wait_one *o = (struct wait_one *)w;
    struct waiter *one = frame_memory(f, sizeof *one);
    if (!one)
        return false;
    *one = (struct waiter){ .who = f->who, .events = o->events };
    f->waiters = one;
    f->nwaiters = 1;
    waiter_add(one, o->handle);
    return true;
}

// one_release gives back the caller's reference, which a cancelled thread will not.
static void one_release(struct wait *w)
{
    struct file *f = file_of_handle(((struct wait_one *)w)->handle);
    if (f) {
        file_put(f);
        file_put(f);
    }
}

int wait_handle(int fd, int handle, uint32_t events, int64_t timeout_ns)
{
    struct wait_one o = {
        .wait = { .check = one_check, .peek = one_peek, .arm = one_arm, .release = one_release, .kernel = -1, .shared = shared(), .restart = timeout_ns < 0,
                  .deadline = timeout_ns < 0 ? -1 : now_ns() + timeout_ns },
        .handle = handle,
        .events = events | POLLERR | POLLHUP,
    };
    struct pollfd fds[1 + SLEEP_MORE];
    fds[0] = (struct pollfd){ .fd = fd, .events = (short)events };
    o.wait.fds = fds;
    o.wait.nfds = fd_kind(fd) == FD_LISTENER;
    if (events & POLLIN && o.wait.nfds == 0 && knobs.fast & FAST_PLAIN)
        o.wait.early = one_early;
    return o.wait.shared ? wait_run(&o.wait) : 1;
}
