#include "kick.h"

#include <stddef.h>
#include <sys/socket.h>

#include "clock.h"
#include "engine.h"
#include "helper.h"
#include "knobs.h"
#include "raw.h"
#include "stage.h"

#define KICK_FRAMES 32
#define KICK_NS 50000
#define LATE_NS 500000
#define MAX_DISTRUST 4096

// What this thread keeps.
static _Thread_local struct batch {
    bool on;          // it works through the events of one wait
    uint64_t since;   // when the first packet was kept, 0: none is
    unsigned skip;    // batches to go until it is trusted again
    unsigned penalty; // how many it will be the next time
} batch __attribute__((tls_model("initial-exec")));

static uint32_t waiting(const struct sl_ring *r)
{
    sl_index prod = atomic_load_explicit(&r->tx_prod, memory_order_relaxed);
    sl_index cons = atomic_load_explicit(&r->tx_cons, memory_order_relaxed);
    if (!prod || !cons)
        return 0;
    return atomic_load_explicit(prod, memory_order_relaxed) - atomic_load_explicit(cons, memory_order_relaxed);
}

static uint32_t all_waiting(const struct sl_shared *s)
{
    uint32_t n = atomic_load_explicit(&s->nrings, memory_order_acquire), sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += waiting(&s->rings[i]);
    return sum;
}

bool kick_pending(const struct sl_shared *s) { return all_waiting(s) != 0; }

static uint32_t put(const struct sl_ring *r)
{
    sl_index prod = atomic_load_explicit(&r->tx_prod, memory_order_relaxed);
    return prod ? atomic_load_explicit(prod, memory_order_relaxed) : 0;
}

// carry has the kernel take what is in the ring. In copy mode a call stops when its budget is used up, and is made again as long as it makes the ring
// shorter. True: more was put there than it has seen, by a thread that left it to us.
static bool carry(struct sl_ring *r, int fd)
{
    uint32_t seen = put(r);
    for (uint32_t now, left = UINT32_MAX; (now = waiting(r)) != 0 && now < left; left = now) {
        seen = put(r);
        RAW(SYS_sendto, fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
    }
    atomic_store(&r->kicking, 0);
    atomic_thread_fence(memory_order_seq_cst); // whoever finds kicking set after this has put what we see now
    return waiting(r) != 0 && put(r) != seen;
}

// kick wakes the kernel for one ring. Of threads that send at once one does it for all: the kernel has a lock there, for which the others would sleep.
static void kick(struct sl_ring *r)
{
    sl_index flags = atomic_load_explicit(&r->tx_flags, memory_order_relaxed);
    if (!flags || !(atomic_load_explicit(flags, memory_order_acquire) & 1))
        return; // the driver looks at the ring by itself
    atomic_fetch_add(&r->kickers, 1);
    int fd = atomic_load(&r->tx_fd);
    while (fd >= 0 && atomic_exchange(&r->kicking, 1) == 0 && carry(r, fd))
        ;
    atomic_fetch_sub(&r->kickers, 1);
}

void kick_now(struct sl_shared *s)
{
    int was = engine_inside;
    uint32_t n = atomic_load_explicit(&s->nrings, memory_order_acquire);
    engine_inside = 1; // a handler that jumps away would leave a kick unfinished for ever
    for (uint32_t i = 0; i < n; i++)
        if (waiting(&s->rings[i]) != 0) {
            atomic_fetch_add_explicit(&s->kicks, 1, memory_order_relaxed);
            kick(&s->rings[i]);
        }
    engine_inside = was;
    if (!was && signals_held)
        signals_release();
    batch.since = 0;
}

void kick_batch(int n)
{
    if (n < 2 || !(knobs.fast & FAST_BATCH))
        return;
    if (batch.skip > 0)
        batch.skip--;
    else
        batch.on = true;
}

bool kick_batching(void) { return batch.on; }

bool kick_keeps(void)
{
    if (!batch.on)
        return false;
    uint64_t now = (uint64_t)now_ns();
    if (batch.since == 0) {
        batch.since = now;
        helper_watch();
    }
    return now - batch.since <= KICK_NS;
}

// judge looks at how long the packets of a batch waited in the end.
static void judge(uint64_t waited)
{
    if (waited > LATE_NS) {
        batch.penalty = batch.penalty < MAX_DISTRUST ? 2 * batch.penalty + 16 : MAX_DISTRUST;
        batch.skip = batch.penalty;
    } else {
        batch.penalty -= batch.penalty > 0;
    }
}

void kick_end(struct sl_shared *s)
{
    batch.on = false;
    if (batch.since != 0)
        judge((uint64_t)now_ns() - batch.since);
    if (kick_pending(s))
        kick_now(s);
    batch.since = 0;
}

void kick_after(struct sl_shared *s)
{
    uint32_t n = all_waiting(s);
    if (n == 0 && batch.since == 0)
        return;
    uint64_t now = atomic_load_explicit(&s->entered_ns, memory_order_relaxed);
    uint64_t waited = batch.since != 0 && now > batch.since ? now - batch.since : 0;
    if (n == 0) {
        if (batch.on && waited > KICK_NS)
            stage_give(false); // what is kept there has waited long enough, though the program writes nothing now
        return;
    }
    if (!batch.on || n >= KICK_FRAMES || waited > KICK_NS) {
        if (batch.since != 0)
            judge(waited);
        kick_now(s);
        return;
    }
    if (batch.since == 0) {
        batch.since = now;
        helper_watch();
    }
}
