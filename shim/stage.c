#include "stage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>

#include "helper.h"
#include "iov.h"
#include "knobs.h"
#include "ours.h"
#include "probe.h"
#include "raw.h"
#include "ready.h"

#define SLOTS 16
#define SIZE 8192

// A slot belongs to one file from stage_open until what it holds is in the engine. The lock orders those who use it.
struct stage {
    _Atomic(struct file *) file; // NULL: free
    _Atomic(const void *) owner; // the thread that opened it
    _Atomic bool locked;
    size_t len;
    char data[SIZE];
};
static struct stage slots[SLOTS];
static _Atomic int in_use;
static _Thread_local char self __attribute__((tls_model("initial-exec"))); // its address names the thread
static _Thread_local int mine __attribute__((tls_model("initial-exec")));  // slots that this thread opened (at most)

// Signals wait while a slot is locked: a handler that writes to the same connection would wait for its own thread.
static void lock(struct stage *s)
{
    engine_inside++;
    while (atomic_exchange_explicit(&s->locked, true, memory_order_acquire))
        sched_yield();
}

static void unlock(struct stage *s)
{
    atomic_store_explicit(&s->locked, false, memory_order_release);
    if (--engine_inside == 0 && signals_held)
        signals_release();
}

// hold locks the slot of f; NULL: it has none (any more).
static struct stage *hold(struct file *f)
{
    struct stage *s = atomic_load(&f->stage);
    if (!s)
        return NULL;
    lock(s);
    if (atomic_load(&s->file) == f)
        return s;
    unlock(s);
    return NULL;
}

static void release(struct stage *s, struct file *f)
{
    s->len = 0;
    mine -= mine > 0 && atomic_load(&s->owner) == &self;
    atomic_store(&f->stage, NULL);
    atomic_store(&s->file, NULL);
    atomic_fetch_sub(&in_use, 1);
}

// takes: f can be written to, so that the engine will take what is staged.
static bool takes(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load_explicit(&f->handle, memory_order_relaxed);
    return s && h >= 0 && (ready_bits(s, h) & (POLLOUT | POLLERR | POLLHUP)) == POLLOUT;
}

bool stage_open(struct file *f)
{
    if (!(knobs.fast & FAST_CORK) || !takes(f) || f->corked)
        return false;
    if (atomic_load(&f->stage))
        return true;
    for (int i = 0; i < SLOTS; i++) {
        struct file *none = NULL;
        if (atomic_load_explicit(&slots[i].file, memory_order_relaxed) || !atomic_compare_exchange_strong(&slots[i].file, &none, f))
            continue;
        atomic_fetch_add(&in_use, 1);
        atomic_store(&slots[i].owner, &self);
        mine++;
        atomic_store(&f->stage, &slots[i]);
        helper_watch();
        return true;
    }
    return false;
}

bool stage_put(struct file *f, const struct iovec *v, int n, int flags)
{
    struct stage *s = hold(f);
    if (!s)
        return false;
    ssize_t want = iov_total(v, n);
    bool fits = want >= 0 && want <= (ssize_t)(SIZE - s->len) && !(flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE)) && takes(f);
    size_t len = s->len;
    for (int i = 0; fits && i < n; i++) {
        fits = probe_there(v[i].iov_base, v[i].iov_len); // else the engine says EFAULT
        if (fits)
            memcpy(s->data + len, v[i].iov_base, v[i].iov_len);
        len += v[i].iov_len;
    }
    if (fits)
        s->len = len;
    unlock(s);
    if (!fits)
        stage_flush(f);
    return fits;
}

char *stage_room(struct file *f, size_t *n)
{
    struct stage *s = atomic_load(&f->stage);
    if (!s || atomic_load(&s->owner) != &self || !takes(f))
        return NULL;
    *n = SIZE - s->len;
    return s->data + s->len;
}

bool stage_put_here(struct file *f, char *at, size_t n)
{
    struct stage *s = hold(f);
    if (!s)
        return false;
    bool same = s->data + s->len == at;
    if (same)
        s->len += n;
    unlock(s);
    return same;
}

// to_kernel writes what is staged for a connection that has moved to the kernel meanwhile. It is not settled yet: whoever does that
// flushes first, and waits for us.
static void to_kernel(int handle, const char *p, size_t n)
{
    uint32_t moved = atomic_load(&shared()->words[handle].moved);
    int fd = moved == SL_GONE ? -1 : (int)moved - 1;
    for (long r; n > 0; p += r, n -= (size_t)r) {
        r = RAW(SYS_sendto, fd, p, n, MSG_NOSIGNAL, NULL, 0);
        if (r == -EAGAIN) {
            struct pollfd one = { .fd = fd, .events = POLLOUT };
            struct timespec second = { .tv_sec = 1 };
            RAW(SYS_ppoll, &one, 1, &second, NULL, 0);
        }
        if (r < 0 && r != -EAGAIN && r != -EINTR)
            return;
        r = r < 0 ? 0 : r;
    }
}

// give passes the slot's octets to the engine, which was told that it may take more than its buffer for once. It can still be out of
// frames: they come back as the peers acknowledge.
static ssize_t give(struct file *f, struct stage *s, int flags)
{
    int h = atomic_load(&f->handle);
    size_t done = 0;
    for (int tries = 0; done < s->len; tries++) {
        struct iovec v = { s->data + done, s->len - done };
        ssize_t r = engine.sl_send(h, &v, 1, flags | SL_STAGED);
        if (r == SL_MOVED) {
            to_kernel(h, s->data + done, s->len - done);
            return SL_MOVED;
        }
        if (r < 0 && r != -EAGAIN)
            return r; // the connection failed: as if it had after the write
        done += r > 0 ? (size_t)r : 0;
        if (done < s->len && tries > 20000)
            return -EAGAIN;
        if (done < s->len) {
            struct timespec moment = { .tv_nsec = 100000 };
            kick_now(shared());
            RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
            engine.sl_poll();
        }
    }
    return 0;
}

bool stage_send(struct file *f)
{
    if (!atomic_load(&f->stage) || !shared())
        return false;
    engine_enter();
    struct stage *s = hold(f);
    bool some = s && s->len > 0;
    if (some)
        give(f, s, SL_CORKED);
    if (s) {
        release(s, f);
        unlock(s);
    }
    engine_leave();
    return some;
}

void stage_flush_slow(struct file *f)
{
    static const int on = 1;
    if (!shared())
        return;
    engine_enter();
    struct stage *s = hold(f);
    if (s) {
        f->corked = true;
        engine.sl_setsockopt(atomic_load(&f->handle), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        give(f, s, 0);
        release(s, f);
        unlock(s);
    }
    engine_leave();
}

// end flushes the slots of one thread, or all of them (owner NULL).
static void end(const void *owner)
{
    for (int i = 0; i < SLOTS && atomic_load(&in_use) > 0; i++) {
        struct file *f = atomic_load(&slots[i].file);
        if (f && (!owner || atomic_load(&slots[i].owner) == owner))
            stage_flush(f);
    }
}

void stage_end(void)
{
    if (mine == 0)
        return;
    mine = 0;
    end(&self);
}

void stage_end_all(void) { end(NULL); }
bool stage_any(void) { return atomic_load_explicit(&in_use, memory_order_relaxed) > 0; }

void stage_forked(void)
{
    for (int i = 0; i < SLOTS; i++) {
        struct file *f = atomic_load(&slots[i].file);
        if (f)
            release(&slots[i], f); // the parent's to send
        slots[i].locked = false;
    }
    atomic_store(&in_use, 0);
    mine = 0;
}
