// What is staged goes to the engine.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "ours.h"
#include "raw.h"
#include "stage_slot.h"

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

// give_rest passes what is left from done on, of which the engine's last word was r. It was told that it may take more than its buffer for
// once; it can still be out of frames: they come back as the peers acknowledge.
static void give_rest(int h, const struct stage *s, int flags, size_t done, ssize_t r)
{
    for (int tries = 0; tries <= 20000; tries++) {
        if (r == SL_MOVED)
            to_kernel(h, s->data + done, s->len - done);
        if (r < 0 && r != -EAGAIN)
            return; // the connection failed: as if it had after the write
        done += r > 0 ? (size_t)r : 0;
        if (done >= s->len)
            return;
        struct timespec moment = { .tv_nsec = 100000 };
        kick_now(shared());
        RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &moment, NULL);
        ENGINE_IN(sl_poll, 0);
        struct iovec v = { s->data + done, s->len - done };
        r = ENGINE_IN(sl_send, h, &v, 1, flags | SL_STAGED);
    }
}

static int flags_of(const struct stage *s) { return s->whole ? SL_CORKED : 0; }

void stage_give_one(struct file *f, struct stage *s)
{
    struct iovec v = { s->data, s->len };
    int h = atomic_load(&f->handle), flags = flags_of(s);
    if (s->len > 0)
        give_rest(h, s, flags, 0, ENGINE_IN(sl_send, h, &v, 1, flags | SL_STAGED));
}

// collect locks the slots of what is kept. One that somebody else has locked is being given by them.
static int collect(bool all, struct stage **held, struct sl_piece *v)
{
    unsigned at = 0;
    int n = 0;
    for (struct stage *s; n < STAGE_SLOTS && (s = stage_next(all, &at)) != NULL;) {
        if (s->corked || !stage_try(s))
            continue;
        struct file *f = atomic_load(&s->file);
        if (s->corked || atomic_load(&f->stage) != s) {
            stage_unlock(s);
            continue;
        }
        v[n] = (struct sl_piece){ atomic_load(&f->handle), (uint32_t)flags_of(s), s->data, s->len, 0 };
        held[n++] = s;
    }
    return n;
}

// tidy leaves what this thread still has: corks.
static void tidy(void)
{
    unsigned at = 0, n = 0;
    for (struct stage *s; (s = stage_next(false, &at)) != NULL;)
        stage_own.slot[n++] = s;
    stage_own.n = n;
}

void stage_give(bool all)
{
    struct sl_piece v[STAGE_SLOTS];
    struct stage *held[STAGE_SLOTS];
    static _Thread_local bool giving __attribute__((tls_model("initial-exec"))); // leaving the engine may ask for it again
    if (!shared() || (!all && stage_own.n == 0) || giving)
        return;
    giving = true;
    engine_enter();
    int n = collect(all, held, v);
    if (n > 0) {
        turnstile_in(&engine_life->turnstile);
        engine.sl_send_many(v, n);
        turnstile_out(&engine_life->turnstile);
    }
    for (int i = 0; i < n; i++) {
        struct stage *s = held[i];
        if (v[i].result != (ssize_t)s->len)
            give_rest(v[i].handle, s, (int)v[i].flags, 0, v[i].result);
        stage_free(s, atomic_load(&s->file));
        stage_unlock(s);
    }
    engine_leave();
    giving = false;
    tidy();
}

void stage_flush_slow(struct file *f)
{
    static const int on = 1;
    if (!shared())
        return;
    engine_enter();
    struct stage *s = stage_hold(f);
    if (s) {
        if (s->corked) {
            f->corked = true;
            ENGINE_IN(sl_setsockopt, atomic_load(&f->handle), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        }
        stage_give_one(f, s);
        stage_free(s, f);
        stage_unlock(s);
    }
    engine_leave();
}
