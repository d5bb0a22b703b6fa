// Readiness: who waits for which engine handle, and how the engine's list of changed handles reaches them.
//
//   handles[h] ──► waiters   threads blocked in recv, poll, select ...
//              └─► items     entries of epoll sets (epoll_set.h)
//
// One lock orders all of it, so that no change falls between a look and a sleep: a thread first lists itself, then looks at
// words[h], then sleeps; whoever changed words[h] drains the engine's ring afterwards, finds it listed, and wakes it.
#ifndef SLUICE_READY_H
#define SLUICE_READY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "engine.h"
#include "sleep.h"

struct ep_item;

// One handle that one waiting thread waits for.
struct waiter {
    struct waiter *next, **link; // the handle's list; link NULL: not listed
    struct sleeper *who;
    uint32_t events; // POLL* bits, POLLERR and POLLHUP among them
};

struct handle_list {
    struct waiter *waiters;
    struct ep_item *items;
    int32_t next_moved; // list of handles that became kernel sockets and wait to be settled: handle + 1
    bool listed_moved;
};

// ready_lock: signals that arrive in this thread meanwhile wait until ready_unlock (signal.c). Never held across a call that
// may sleep, or a crossing into the engine.
void ready_lock(void);
void ready_unlock(void);

// ready_handle: the lists of h, NULL before the engine runs here. Under the lock.
struct handle_list *ready_handle(int h);

// waiter_add lists w for handle h; waiter_remove takes it off (nothing if it is not listed). Under the lock.
void waiter_add(struct waiter *w, int h);
void waiter_remove(struct waiter *w);

// ready_bits: what the engine says about h now; MOVED_BITS: it has moved, and whoever waits for it shall look again. A move is shown before the bits that
// come with it, so they are read the other way round.
#define MOVED_BITS ~0u
static inline uint32_t ready_bits(const struct sl_shared *s, int h)
{
    uint32_t bits = atomic_load_explicit(&s->words[h].ready, memory_order_acquire);
    return __builtin_expect(atomic_load_explicit(&s->words[h].moved, memory_order_relaxed) != 0, 0) ? MOVED_BITS : bits;
}

// engine_due: there are packets, or a timer is over. The clock is read only if it matters.
bool engine_due(const struct sl_shared *s);
// engine_fetch fetches the packets that wait into this processor's cache: another one wrote them, and each line takes as long to come as a
// hundred instructions. Before the engine is entered to take them in.
void engine_fetch(const struct sl_shared *s);
// engine_turn lets the engine work if it is due. force: in any case (the wake descriptor was readable).
void engine_turn(struct sl_shared *s, bool force);
void engine_wait(struct sl_shared *s, bool force); // the same, by a thread that is about to wait

// settle_moved turns every descriptor of each moved handle into the kernel socket it has become, so that epoll sets and sleepers
// learn of it without waiting for the program's next call. Settling crosses into the engine again: not from within itself, nor while this thread
// keeps others from it.
void settle_moved(void);

// The lock is held over a fork, so that the child finds whole lists.
void ready_init(void);
void ready_lock_forked(void);
void ready_forked(void);

#endif
