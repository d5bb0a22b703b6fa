// The loops behind every receiving and sending call on a connection of the engine.
#include "conn_io.h"

#include <errno.h>
#include <netinet/in.h>

#include "clock.h"
#include "iov.h"
#include "kconn.h"
#include "knobs.h"
#include "plain.h"
#include "raw.h"
#include "ready.h"
#include "sleep.h"
#include "wait.h"
#include "usdt.h"

#define PIECE 64 // buffers given to the engine at once

// How long a call may still wait: the file's time-out counts from the call's start.
struct patience {
    bool block;
    int64_t timeout; // ns, 0: none
    int64_t until;   // 0: not yet begun
    bool looked;     // what has come in was looked at before saying EAGAIN
};

static struct patience patience(struct file *f, int flags, int64_t timeout, const struct trip *trip)
{
    return (struct patience){ .block = !(flags & MSG_DONTWAIT) && !atomic_load(&f->nonblock), .timeout = timeout, .until = trip ? trip->until : 0 };
}

// asks_again: a program that asks again and again for what is not there has no answer to what it has read, as one that waits.
static void asks_again(struct file *f, uint32_t events)
{
    struct sl_shared *s = shared();
    if (!(events & POLLIN) || !s || !atomic_load_explicit(&s->unanswered, memory_order_relaxed))
        return;
    if (f->asked)
        engine_wait(s, true);
    f->asked = true;
}

// wait_more waits for events. 1: try again; else the call's errno, negative. A call that has moved octets already ends at any signal, as in the
// kernel; one that has not goes on after a handler with SA_RESTART.
static int wait_more(int fd, struct file *f, struct patience *p, uint32_t events, bool some)
{
    if (!p->block && !p->looked && shared()) { // a program that asks again and again must not wait for the helper
        p->looked = true;
        engine_turn(shared(), false);
        return 1;
    }
    if (!p->block) {
        asks_again(f, events);
        return -EAGAIN;
    }
    int64_t left = -1;
    if (p->timeout > 0) {
        int64_t now = now_ns();
        if (p->until == 0)
            p->until = now + p->timeout;
        left = p->until - now;
        if (left <= 0)
            return -EAGAIN;
    } else if (some) {
        left = INT64_MAX / 4; // any handler interrupts a wait with a limit
    }
    int r = wait_handle(fd, atomic_load(&f->handle), events, left);
    return r == 0 ? -EAGAIN : r;
}

static void raise_sigpipe(void)
{
    siginfo_t info = { .si_signo = SIGPIPE, .si_code = SI_USER };
    info.si_pid = (pid_t)RAW(SYS_getpid);
    info.si_uid = (uid_t)RAW(SYS_getuid);
    RAW(SYS_rt_tgsigqueueinfo, info.si_pid, RAW(SYS_gettid), SIGPIPE, &info);
}

// finish: the call's result from what moved and what stopped it.
static ssize_t finish(struct file *f, ssize_t done, ssize_t stop)
{
    file_put(f);
    return done > 0 || stop == 0 ? done : raw_result(stop);
}

// The connection is the kernel's now: the rest of the call is too, unless a call of the kernel's began this one, which then goes on (trip): a call that
// waits while its connection goes to and fro must not need ever more stack.
static ssize_t go_on_recv(int fd, struct iov_rest *rest, int flags, ssize_t done, int64_t until, struct trip *trip)
{
    if (trip) {
        *trip = (struct trip){ until, true };
        return done;
    }
    ssize_t r = kconn_recv_rest(fd, *rest, done == 0 ? flags : flags & ~IO_READ, NULL, until);
    return r < 0 && done > 0 ? done : r < 0 ? r : done + r;
}

static ssize_t go_on_send(int fd, struct iov_rest *rest, int flags, ssize_t done, int64_t until, struct trip *trip)
{
    if (trip) {
        *trip = (struct trip){ until, true };
        return done;
    }
    ssize_t r = kconn_send_rest(fd, *rest, flags, until);
    return r < 0 && done > 0 ? done : r < 0 ? r : done + r;
}

// peek_all: MSG_PEEK with MSG_WAITALL: readiness says nothing about "more than before", so look again each millisecond.
static bool peek_again(int fd, struct file *f, struct patience *p)
{
    struct patience nap = { .block = p->block, .timeout = 1000000 };
    if (p->timeout > 0 && p->until == 0)
        p->until = now_ns() + p->timeout;
    if (p->timeout > 0 && now_ns() >= p->until)
        return false;
    int r = wait_more(fd, f, &nap, POLLRDHUP, true);
    return r == -EAGAIN; // the nap is over; else an end or a signal
}

// target: how many octets a blocking receive waits for.
static ssize_t target(struct file *f, ssize_t want, int flags)
{
    if (flags & MSG_WAITALL)
        return want;
    ssize_t low = atomic_load(&f->rcv_lowat);
    return low < want ? low : want;
}

// discard is MSG_TRUNC: octets are taken (or, with MSG_PEEK, counted) and thrown away; the caller's buffers need not even exist.
static ssize_t discard(struct file *f, size_t want, int flags)
{
    static char nowhere;
    struct iovec v = { &nowhere, want };
    return ENGINE(sl_recv, atomic_load(&f->handle), &v, 1, flags & (MSG_PEEK | MSG_TRUNC), NULL);
}

// error_waits: the connection failed. A call that has moved octets must leave the error for the next one.
static bool error_waits(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    return s && h >= 0 && atomic_load(&s->words[h].ready) & POLLERR;
}

// nothing_there: the engine need not be asked: it has told that there is nothing to receive, and nothing has come in since. If something has,
// the engine is asked once, and takes it in first (*turn). An engine without queues tells nothing by itself.
static bool nothing_there(struct file *f, size_t room, int flags, int *turn)
{
    struct sl_shared *s = shared();
    int h = atomic_load_explicit(&f->handle, memory_order_relaxed);
    if (!(knobs.fast & FAST_PEEK) || room == 0 || atomic_load_explicit(&f->urgent, memory_order_relaxed) || flags & MSG_TRUNC || !s || h < 0 || atomic_load_explicit(&f->rcv_lowat, memory_order_relaxed) > 1)
        return false;
    if (atomic_load_explicit(&s->nrings, memory_order_relaxed) == 0 || ready_bits(s, h) & ~(POLLOUT | POLLWRNORM))
        return false;
    *turn = SL_TURN;
    sleep_looked();
    if (!engine_due(s))
        return true;
    engine_fetch(s);
    return false;
}

// What a call may say and still be plain.
#define PLAIN_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | IO_READ)

// recv_early: what is there to be had without the engine, 0: nothing.
static ssize_t recv_early(int h, const struct iovec *v, int count, int flags)
{
    struct sl_shared *s = shared();
    if (!(knobs.fast & FAST_PLAIN) || count != 1 || flags & ~PLAIN_FLAGS || h < 0 || !s)
        return 0;
    ssize_t r = plain_recv(s, h, v);
    if (r > 0)
        PROBE(recv, h, r);
    return r;
}

// send_early: out at once, without the engine.
static bool send_early(int h, const struct iovec *v, int count, int flags)
{
    struct sl_shared *s = shared();
    if (!(knobs.fast & FAST_PLAIN) || count != 1 || flags & ~PLAIN_FLAGS || h < 0 || !s || kick_batching() || !plain_send(s, h, v))
        return false;
    PROBE(send, h, v->iov_len);
    return true;
}

// recv_once asks the engine for the next piece. *full: the piece was filled, there may be more. *mark: urgent data is next.
static ssize_t recv_once(struct file *f, const struct iov_rest *rest, int flags, struct sl_recvinfo *info, struct patience *p, bool *full, bool *mark)
{
    struct iovec piece[PIECE];
    struct sl_recvinfo own = { 0 };
    if (flags & MSG_OOB)
        atomic_store_explicit(&f->urgent, true, memory_order_relaxed);
    const struct iovec *v = rest->iov;
    int count = rest->n, h = atomic_load(&f->handle), turn = 0;
    if (rest->skip > 0)
        v = piece, count = iov_view(rest, piece, PIECE);
    static char nowhere;
    if ((flags & (MSG_TRUNC | MSG_OOB)) == (MSG_TRUNC | MSG_OOB) && iov_sum(v, count) > 0) // an urgent octet is told of, and thrown away
        v = piece, count = 1, piece[0] = (struct iovec){ &nowhere, 1 };
    size_t room = iov_sum(v, count);
    ssize_t early = info || atomic_load_explicit(&f->urgent, memory_order_relaxed) ? 0 : recv_early(h, v, count, flags);
    if (early > 0) {
        *full = (size_t)early == room;
        *mark = false;
        return early;
    }
    info = info ? info : &own;
    bool nothing = nothing_there(f, room, flags, &turn);
    p->looked = p->looked || turn;
    if (nothing)
        return -EAGAIN;
    struct sl_shared *s = shared();
    ssize_t r;
    if (room == 0 && !(flags & MSG_OOB) && s && !(atomic_load(&s->words[h].ready) & ~(POLLOUT | POLLWRNORM)))
        return -EAGAIN; // a receive of nothing waits for something all the same
    if ((flags & (MSG_TRUNC | MSG_OOB)) == MSG_TRUNC && room > 0)
        r = discard(f, room, flags);
    else
        r = ENGINE(sl_recv, h, (struct iovec *)v, count, (flags & (MSG_PEEK | MSG_OOB)) | turn, info);
    PROBE(recv, h, r);
    *full = r > 0 && (size_t)r == room;
    *mark = r > 0 && info->msg_flags & SL_AT_MARK;
    info->msg_flags &= ~SL_AT_MARK;
    return r;
}

// peeked: MSG_PEEK saw r octets: is that the call's result?
static bool peeked(int fd, struct file *f, struct patience *p, ssize_t r, ssize_t goal)
{
    return r >= goal || r == 0 || !p->block || !peek_again(fd, f, p);
}

ssize_t conn_recv(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info)
{
    return conn_recv_part(fd, f, iov, n, flags, info, NULL);
}

ssize_t conn_recv_part(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info, struct trip *trip)
{
    ssize_t want = iov_total(iov, n), done = 0;
    if (want <= 0 && (want < 0 || flags & IO_READ))
        return finish(f, 0, want < 0 ? -EINVAL : 0);
    if (flags & MSG_ERRQUEUE)
        return finish(f, 0, -EAGAIN);
    struct patience p = patience(f, flags, atomic_load(&f->rcv_timeout_ns), trip);
    struct iov_rest rest = { iov, n, 0 };
    iov_advance(&rest, 0); // a piece of empty buffers alone would look like the end
    ssize_t goal = target(f, want, flags);
    for (;;) {
        bool full = false, mark = false;
        ssize_t r = done > 0 && error_waits(f) ? 0 : recv_once(f, &rest, flags, info, &p, &full, &mark);
        if (r == SL_MOVED) {
            file_settle(f);
            file_put(f);
            return go_on_recv(fd, &rest, flags, done, p.until, trip);
        }
        if (r >= 0 && flags & MSG_PEEK) {
            if (peeked(fd, f, &p, r, goal))
                return finish(f, r, 0);
            continue;
        }
        done += r > 0 ? r : 0;
        if ((r <= 0 && r != -EAGAIN) || flags & MSG_OOB)
            return finish(f, done, r > 0 ? 0 : r);
        if (want > 0 && (done >= want || mark || (done >= goal && !full)))
            return finish(f, done, 0);
        if (r > 0) {
            iov_advance(&rest, (size_t)r);
            continue;
        }
        int w = wait_more(fd, f, &p, POLLIN | POLLRDHUP, done > 0 || want == 0 || flags & IO_LATER);
        if (want == 0 && p.block) // a receive of nothing waits once, and that was all, whatever ended the wait
            return finish(f, 0, 0);
        if (w < 0)
            return finish(f, done, w);
    }
}

ssize_t conn_send(int fd, struct file *f, const struct iovec *iov, int n, int flags) { return conn_send_part(fd, f, iov, n, flags, NULL); }

ssize_t conn_send_part(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct trip *trip)
{
    ssize_t want = iov_total(iov, n), done = 0;
    if (want < 0)
        return finish(f, 0, -EINVAL);
    if (__builtin_expect(f->deferred, 0))
        return send_deferred(fd, f, iov, n, flags);
    if ((atomic_load_explicit(&f->stage, memory_order_relaxed) || (want > 0 && want <= STAGE_SIZE && stage_keep(f))) && stage_put(f, iov, n, flags))
        return finish(f, want, 0);
    if (send_early(atomic_load_explicit(&f->handle, memory_order_relaxed), iov, n, flags))
        return finish(f, want, 0);
    struct patience p = patience(f, flags, atomic_load(&f->snd_timeout_ns), trip);
    struct iov_rest rest = { iov, n, 0 };
    iov_advance(&rest, 0);
    for (;;) {
        struct iovec piece[PIECE];
        int count = iov_view(&rest, piece, PIECE);
        int more = rest.n > count ? MSG_MORE : 0;
        if (done > 0 && error_waits(f))
            return finish(f, done, 0);
        ssize_t r = ENGINE(sl_send, atomic_load(&f->handle), piece, count, (flags & (MSG_MORE | MSG_OOB | MSG_FASTOPEN)) | more);
        PROBE(send, atomic_load(&f->handle), r);
        if (r == SL_MOVED) {
            file_settle(f);
            file_put(f);
            return go_on_send(fd, &rest, flags, done, p.until, trip);
        }
        if (r >= 0) {
            done += r;
            iov_advance(&rest, (size_t)r);
            if (done >= want)
                return finish(f, done, 0);
            if (r > 0 && (size_t)r == iov_sum(piece, count))
                continue;
            r = -EAGAIN;
        }
        if (r == -EPIPE && done == 0 && !(flags & MSG_NOSIGNAL))
            raise_sigpipe();
        if (r != -EAGAIN)
            return finish(f, done, r);
        int w = wait_more(fd, f, &p, POLLOUT, done > 0);
        if (w < 0)
            return finish(f, done, w);
    }
}
