// The slots of what is staged, and what goes into them.
#include "stage_slot.h"

#include <sched.h>
#include <string.h>

#include "helper.h"
#include "iov.h"
#include "kick.h"
#include "knobs.h"
#include "locks.h"
#include "ours.h"
#include "probe.h"
#include "ready.h"

#define MOST 32 // kept answers: as many as packets that wait for a kick

static struct stage slots[STAGE_SLOTS];
static char data[STAGE_SLOTS][STAGE_SIZE];
static _Atomic int in_use;
_Thread_local struct stage_own stage_own __attribute__((tls_model("initial-exec")));

// Signals wait while a slot is locked: a handler that writes to the same connection would wait for its own thread.
bool stage_try(struct stage *s)
{
    engine_inside++;
    if (!atomic_exchange_explicit(&s->locked, true, memory_order_acquire)) {
        if (atomic_load(&s->file)) {
            lock_has(LOCK_STAGE, 1);
            return true;
        }
        atomic_store_explicit(&s->locked, false, memory_order_release);
    }
    if (--engine_inside == 0 && signals_held)
        signals_release();
    return false;
}

static void lock(struct stage *s)
{
    engine_inside++;
    lock_takes(LOCK_STAGE);
    while (atomic_exchange_explicit(&s->locked, true, memory_order_acquire))
        sched_yield();
    lock_has(LOCK_STAGE, 1);
}

void stage_unlock(struct stage *s)
{
    lock_has(LOCK_STAGE, -1);
    atomic_store_explicit(&s->locked, false, memory_order_release);
    if (--engine_inside == 0 && signals_held)
        signals_release();
}

struct stage *stage_hold(struct file *f)
{
    struct stage *s = atomic_load(&f->stage);
    if (!s)
        return NULL;
    lock(s);
    if (atomic_load(&s->file) == f)
        return s;
    stage_unlock(s);
    return NULL;
}

void stage_free(struct stage *s, struct file *f)
{
    s->len = 0;
    atomic_store(&f->stage, NULL);
    atomic_store(&s->file, NULL);
    atomic_fetch_sub(&in_use, 1);
}

struct stage *stage_next(bool all, unsigned *at)
{
    while (*at < (all ? STAGE_SLOTS : stage_own.n)) {
        struct stage *s = all ? &slots[*at] : stage_own.slot[*at];
        ++*at;
        if (atomic_load(&s->file) && (all || atomic_load(&s->owner) == &stage_own))
            return s;
    }
    return NULL;
}

// takes: f can be written to, so that the engine will take what is staged.
static bool takes(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load_explicit(&f->handle, memory_order_relaxed);
    return s && h >= 0 && atomic_load_explicit(&s->words[h].moved, memory_order_relaxed) == 0 && (ready_bits(s, h) & (POLLOUT | POLLERR | POLLHUP)) == POLLOUT;
}

// open_slot finds a slot for f: the next one, most likely.
static struct stage *open_slot(struct file *f)
{
    static _Atomic unsigned next;
    unsigned from = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    for (unsigned i = 0; i < STAGE_SLOTS && stage_own.n < STAGE_SLOTS; i++) {
        struct stage *s = &slots[(from + i) % STAGE_SLOTS];
        struct file *none = NULL;
        if (atomic_load_explicit(&s->file, memory_order_relaxed) || !atomic_compare_exchange_strong(&s->file, &none, f))
            continue;
        atomic_fetch_add(&in_use, 1);
        atomic_store(&s->owner, &stage_own);
        s->corked = s->whole = false;
        s->data = data[(from + i) % STAGE_SLOTS];
        stage_own.slot[stage_own.n++] = s;
        return s;
    }
    return NULL;
}

// attach: what is written to f goes to s from now on. False: another thread was quicker.
static bool attach(struct file *f, struct stage *s)
{
    struct stage *none = NULL;
    if (atomic_compare_exchange_strong(&f->stage, &none, s))
        return true;
    atomic_store(&s->file, NULL);
    atomic_fetch_sub(&in_use, 1);
    return false;
}

bool stage_open(struct file *f)
{
    if (!(knobs.fast & FAST_CORK) || !takes(f) || f->corked)
        return false;
    struct stage *s = stage_hold(f);
    bool already = s && s->corked;
    if (s)
        stage_unlock(s);
    if (already)
        return true;
    stage_flush(f);
    s = open_slot(f);
    if (!s)
        return false;
    s->corked = true;
    helper_watch();
    return attach(f, s);
}

bool stage_keep(struct file *f)
{
    struct stage *s = kick_batching() && !f->corked && takes(f) ? open_slot(f) : NULL;
    return s && attach(f, s);
}

// kept: an answer more waits for company: long enough?
static void kept(void)
{
    if (!kick_keeps() || stage_own.n >= MOST)
        stage_give(false);
}

bool stage_put(struct file *f, const struct iovec *v, int n, int flags)
{
    struct stage *s = stage_hold(f);
    if (!s)
        return false;
    ssize_t want = iov_total(v, n);
    bool corked = s->corked, fits = want >= 0 && want <= (ssize_t)(STAGE_SIZE - s->len) && takes(f) &&
                                    !(flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | (corked ? MSG_MORE : 0)));
    size_t len = s->len;
    for (int i = 0; fits && i < n; i++) {
        fits = probe_there(v[i].iov_base, v[i].iov_len); // else the engine says EFAULT
        if (fits)
            memcpy(s->data + len, v[i].iov_base, v[i].iov_len);
        len += v[i].iov_len;
    }
    if (fits)
        s->len = len;
    stage_unlock(s);
    if (!fits)
        stage_flush(f);
    else if (!corked)
        kept();
    return fits;
}

char *stage_room(struct file *f, size_t n)
{
    struct stage *s = stage_hold(f);
    if (s && n <= STAGE_SIZE - s->len && takes(f))
        return s->data + s->len;
    if (s)
        stage_unlock(s);
    return NULL;
}

void stage_put_here(struct file *f, size_t n)
{
    struct stage *s = atomic_load(&f->stage);
    bool corked = s->corked;
    s->len += n;
    stage_unlock(s);
    if (n > 0 && !corked)
        kept();
}

bool stage_send(struct file *f)
{
    if (!atomic_load(&f->stage) || !shared())
        return false;
    engine_enter();
    struct stage *s = stage_hold(f);
    bool some = s && s->len > 0, keep = some && kick_batching();
    if (s)
        s->whole = true, s->corked = false;
    if (some && !keep)
        stage_give_one(f, s);
    if (s && !keep)
        stage_free(s, f);
    if (s)
        stage_unlock(s);
    engine_leave();
    if (keep)
        kept();
    return some;
}

void stage_end(void)
{
    if (stage_own.n == 0)
        return;
    stage_give(false);
    unsigned at = 0;
    for (struct stage *s; (s = stage_next(false, &at)) != NULL;) // under a cork still
        stage_flush(atomic_load(&s->file));
    stage_own.n = 0;
}

void stage_end_all(void)
{
    stage_give(true);
    unsigned at = 0;
    for (struct stage *s; stage_any() && (s = stage_next(true, &at)) != NULL;) {
        struct file *f = atomic_load(&s->file);
        if (f)
            stage_flush(f);
    }
}

bool stage_any(void) { return atomic_load_explicit(&in_use, memory_order_relaxed) > 0; }

void stage_forked(void)
{
    for (int i = 0; i < STAGE_SLOTS; i++) {
        struct file *f = atomic_load(&slots[i].file);
        if (f)
            stage_free(&slots[i], f); // the parent's to send
        slots[i].locked = false;
    }
    atomic_store(&in_use, 0);
    stage_own.n = 0;
}
