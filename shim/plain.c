#include "plain.h"

#include <poll.h>

#include "clock.h"
#include "probe.h"
#include "segment.h"

#define TX_METADATA 2u // XDP_TX_METADATA, of struct xdp_desc's options

// take gives handle h's slot to this thread, if it grants any of what is asked for and nobody is in the way. Signals wait until it is given back.
static struct sl_plain *take(struct sl_shared *s, int h, uint32_t grants)
{
    struct sl_plain *p = &s->plain[h % SL_PLAINS];
    uint32_t open = 0;
    if (atomic_load_explicit(&p->handle, memory_order_relaxed) != (uint32_t)h + 1 || !(atomic_load_explicit(&p->grants, memory_order_relaxed) & grants))
        return NULL;
    engine_inside++;
    if (atomic_compare_exchange_strong_explicit(&s->plain_lock, &open, 1, memory_order_acquire, memory_order_relaxed)) {
        if (atomic_load_explicit(&p->handle, memory_order_relaxed) == (uint32_t)h + 1 && atomic_load_explicit(&p->grants, memory_order_relaxed) & grants &&
            atomic_load_explicit(&s->plain_on, memory_order_relaxed))
            return p;
        atomic_store_explicit(&s->plain_lock, 0, memory_order_release);
    }
    if (--engine_inside == 0 && signals_held)
        signals_release();
    return NULL;
}

static void give_back(struct sl_shared *s)
{
    atomic_store_explicit(&s->plain_lock, 0, memory_order_release);
    if (--engine_inside == 0 && signals_held)
        signals_release();
}

static const char *frames(const struct sl_shared *s, const struct sl_plain *p)
{
    return atomic_load_explicit(&s->rings[p->ring].frames, memory_order_relaxed);
}

// used: how many slots tell of something that the engine does not know yet. alone: none does but perhaps that of handle h.
static uint32_t used(const struct sl_shared *s) { return atomic_load_explicit(&s->plain_used, memory_order_relaxed); }
static bool alone(const struct sl_shared *s, int h) { return used(s) == 0 || (used(s) == 1 && s->plain_done[0] == (uint32_t)h); }

// note writes down that handle h's slot tells what was done.
static void note(struct sl_shared *s, int h)
{
    uint32_t n = used(s);
    if (n > 0 && s->plain_done[n - 1] == (uint32_t)h)
        return;
    s->plain_done[n] = (uint32_t)h;
    atomic_store_explicit(&s->plain_used, n + 1, memory_order_relaxed);
}

// give copies as much to the program as it has room for. What stays behind counts against the window, which the engine tells then.
static bool give(struct sl_plain *p, const struct iovec *v, const void *from, uint32_t n)
{
    uint32_t k = v->iov_len < n ? (uint32_t)v->iov_len : n;
    if (!probe_copy(v->iov_base, from, k))
        return false;
    p->read = k;
    if (k < n)
        p->most = 0;
    return true;
}

// from_queue: what the engine has taken in already.
static bool from_queue(struct sl_shared *s, int h, struct sl_plain *p, const struct iovec *v)
{
    if (!give(p, v, frames(s, p) + p->data, p->queued))
        return false;
    if (p->read == p->queued) {
        uint32_t ready = atomic_load_explicit(&s->words[h].ready, memory_order_relaxed);
        atomic_store_explicit(&s->words[h].ready, ready & ~(uint32_t)(POLLIN | POLLRDNORM), memory_order_release);
    }
    return true;
}

// from_ring: the packet that is next.
static bool from_ring(const struct sl_shared *s, struct sl_plain *p, const struct iovec *v)
{
    const struct sl_ring *r = &s->rings[p->ring];
    sl_index prod = atomic_load_explicit(&r->prod, memory_order_relaxed), cons = atomic_load_explicit(&r->cons, memory_order_relaxed);
    sl_descs desc = atomic_load_explicit(&r->desc, memory_order_relaxed);
    if (!prod || !cons || !desc)
        return false;
    uint32_t at = atomic_load_explicit(cons, memory_order_relaxed);
    if (atomic_load_explicit(prod, memory_order_acquire) == at)
        return false;
    const struct sl_desc *d = &desc[at & atomic_load_explicit(&r->mask, memory_order_relaxed)];
    struct segment g;
    if (d->options != 0 || !segment_read(p, (const uint8_t *)frames(s, p) + d->addr, d->len, &g) || !give(p, v, g.payload, g.len))
        return false;
    p->rcv_nxt += g.len;
    p->snd_una = g.ack;
    p->peer_window = g.window;
    p->ts_recent = g.tsval;
    p->taken = 1;
    return true;
}

ssize_t plain_recv(struct sl_shared *s, int h, const struct iovec *v)
{
    struct sl_plain *p = v->iov_len > 0 ? take(s, h, SL_PLAIN_RECV | SL_PLAIN_QUEUED) : NULL;
    if (!p)
        return 0;
    ssize_t n = 0;
    uint32_t grants = atomic_load_explicit(&p->grants, memory_order_relaxed);
    if (grants & SL_PLAIN_QUEUED ? from_queue(s, h, p, v) : used(s) == 0 && from_ring(s, p, v)) {
        n = p->read;
        s->plain_reads++;
        atomic_store_explicit(&p->grants, grants & SL_PLAIN_SEND, memory_order_relaxed); // once
        note(s, h);
    }
    give_back(s);
    return n;
}

bool plain_waits(const struct sl_shared *s, int h)
{
    const struct sl_plain *p = &s->plain[h % SL_PLAINS];
    if (atomic_load_explicit(&p->handle, memory_order_relaxed) != (uint32_t)h + 1 || !(atomic_load_explicit(&p->grants, memory_order_acquire) & SL_PLAIN_RECV) ||
        !atomic_load_explicit(&s->plain_on, memory_order_relaxed) || used(s) != 0)
        return false;
    const struct sl_ring *r = &s->rings[p->ring % SL_MAX_RINGS];
    sl_index prod = atomic_load_explicit(&r->prod, memory_order_relaxed), cons = atomic_load_explicit(&r->cons, memory_order_relaxed);
    return prod && cons && atomic_load_explicit(prod, memory_order_acquire) != atomic_load_explicit(cons, memory_order_relaxed);
}

// put: the segment into the frame, and the frame into the ring.
static bool put(struct sl_shared *s, struct sl_plain *p, const struct iovec *v, uint64_t now)
{
    struct sl_ring *r = &s->rings[p->ring];
    sl_index prod = atomic_load_explicit(&r->tx_prod, memory_order_relaxed), cons = atomic_load_explicit(&r->tx_cons, memory_order_relaxed);
    sl_tx_descs desc = atomic_load_explicit(&r->tx_desc, memory_order_relaxed);
    if (!prod || !cons || !desc)
        return false;
    uint32_t mask = atomic_load_explicit(&r->tx_mask, memory_order_relaxed), at = atomic_load_explicit(prod, memory_order_relaxed);
    if (at - atomic_load_explicit(cons, memory_order_acquire) > mask)
        return false;
    uint8_t *payload = (uint8_t *)(uintptr_t)frames(s, p) + p->frame + p->payload;
    if (!probe_copy(payload, v->iov_base, v->iov_len))
        return false;
    segment_write(p, payload, (uint32_t)v->iov_len, now);
    desc[at & mask] = (struct sl_desc){ .addr = p->frame + p->payload - SL_PLAIN_HEAD, .len = SL_PLAIN_HEAD + (uint32_t)v->iov_len, .options = TX_METADATA };
    atomic_store_explicit(prod, at + 1, memory_order_release);
    return true;
}

// heard: no packet waits but the one that was taken. What has come since, a reset perhaps, counts before what is sent.
static bool heard(const struct sl_shared *s, const struct sl_plain *p)
{
    const struct sl_ring *r = &s->rings[p->ring];
    sl_index prod = atomic_load_explicit(&r->prod, memory_order_relaxed), cons = atomic_load_explicit(&r->cons, memory_order_relaxed);
    return prod && cons && atomic_load_explicit(prod, memory_order_acquire) - atomic_load_explicit(cons, memory_order_relaxed) == p->taken;
}

bool plain_send(struct sl_shared *s, int h, const struct iovec *v)
{
    struct sl_plain *p = take(s, h, SL_PLAIN_SEND);
    if (!p)
        return false;
    bool sent = false;
    if (alone(s, h) && p->sent == 0 && v->iov_len > 0 && v->iov_len <= p->most && v->iov_len <= p->peer_window &&
        p->snd_una == p->snd_nxt && heard(s, p)) {
        uint64_t now = (uint64_t)now_ns();
        if (now >= p->at_ns && put(s, p, v, now)) {
            p->sent = (uint32_t)v->iov_len;
            p->sent_ns = now;
            s->plain_sends++;
            note(s, h);
            sent = true;
        }
    }
    give_back(s);
    if (!sent)
        return false;
    kick_now(s);
    ENGINE(sl_poll, 0); // the peer has it already
    return true;
}
