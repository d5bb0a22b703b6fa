// Sleeping: one thread's way to be woken by another, and who of the sleepers watches the engine's descriptor and timers.
//
// Of all threads that sleep, one is the keeper: it alone has the engine's wake descriptor and next timer among the things it
// waits for, so that a packet wakes one thread and not all. A keeper that leaves appoints another sleeper; if there is
// none, the helper thread takes over (helper.c).
//
// Packets for a thread that is awake, and looks by itself, wake the keeper for nothing (memcached's main thread waits for connections while a worker
// serves them). A thread that this has happened to IN_VAIN times since it was woken for itself or for another sleeper is no keeper until it has
// had an event of its own: the helper watches, as it does over a program whose only thread is awake.
#ifndef SLUICE_SLEEP_H
#define SLUICE_SLEEP_H

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../cabi/cabi.h"

struct sleeper {
    _Atomic int fd;        // eventfd to wake it by, -1: none yet
    bool asleep;           // in ppoll, or about to be; under the ready lock
    bool notified;         // was woken, or must not fall asleep; under the ready lock
    _Atomic int vain;      // times that it was woken as keeper for nothing, since it was for something; only it writes
    bool told;             // it has woken another since it fell asleep; its own
    uint32_t looks;        // sleep_looks when it fell asleep; its own
    struct sleeper *next, *prev; // all that are asleep
};

struct sleeper *sleeper_self(void);
// sleeper_notify wakes s, or keeps it from falling asleep. Under the ready lock.
void sleeper_notify(struct sleeper *s);

// Whom to wake once the ready lock is open: who is woken under it runs into it at once, and sleeps again. More than WAKES are woken under the lock.
#define WAKES 64
struct wakes {
    int n, fd[WAKES];
};
// wakes_take takes what sleeper_notify left, under the ready lock, and says how many; if there are any, wakes_ring is to follow without it.
int wakes_take(struct wakes *w);
void wakes_ring(const struct wakes *w);

// sleepers_settle waits until nobody writes any more to the number that an eventfd had. Takes the ready lock.
void sleepers_settle(void);

// sleepers_wake wakes all that sleep, to look again. Takes the ready lock.
void sleepers_wake(void);

#define SLEEP_ENGINE (1 + SL_MAX_RINGS)
#define SLEEP_MORE (1 + SLEEP_ENGINE)

// sleep_engine lists what is readable when the engine has work: its own descriptor, and that of each queue. A queue's is waited at only
// while somebody sleeps: in an epoll set it would cost the kernel, and the peer, 0.8 us for each packet. Returns how many, at most SLEEP_ENGINE.
int sleep_engine(struct sl_shared *s, struct pollfd *fds);

// sleep_until sleeps until one of fds[0..n) is ready, this thread is notified, the engine has work or a timer (if this thread
// is the keeper), a signal handler ran, or deadline (ns, < 0: none) has passed. There must be room for SLEEP_MORE more in
// fds. mask: the signals blocked while asleep. Returns the number of ready ones among fds[0..n), or -EINTR; sets *engine
// if one of the engine's descriptors was readable. A cancellation point.
int sleep_until(struct sl_shared *s, struct pollfd *fds, int n, int64_t deadline, const sigset_t *mask, bool *engine);

// Counts the looks of threads that are awake: each wait begins with one, and so does a receive that finds nothing. Two at once may count for one.
extern _Atomic uint32_t sleep_looks;
static inline void sleep_looked(void)
{
    atomic_store_explicit(&sleep_looks, atomic_load_explicit(&sleep_looks, memory_order_relaxed) + 1, memory_order_relaxed);
}

// sleep_judge: this thread was woken, by the engine's descriptors or because there was something for it (mine), and has looked.
void sleep_judge(bool mine);

// sleeper_leaves: a handler of the program is about to run in this thread, and may jump away from its sleep: another keeps instead.
void sleeper_leaves(void);

// sleep_check_deadline: the engine's next timer may have become earlier: make the keeper look. Takes the ready lock if so.
void sleep_check_deadline(struct sl_shared *s);

// sleep_check_rings: queues may have come or gone: make the keeper look. Takes the ready lock if so.
void sleep_check_rings(struct sl_shared *s);

// The keeper's (or the resting helper's) alarm: 0: nobody sleeps as keeper.
extern _Atomic uint64_t keeper_until;

void sleep_forked(void);

#endif
