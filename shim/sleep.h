// Sleeping: one thread's way to be woken by another, and who of the sleepers watches the engine's descriptor and timers.
//
// Of all threads that sleep, one is the keeper: it alone has the engine's wake descriptor and next timer among the things it
// waits for, so that a packet wakes one thread and not all. A keeper that leaves appoints another sleeper; if there is
// none, the helper thread takes over (helper.c).
#ifndef SLUICE_SLEEP_H
#define SLUICE_SLEEP_H

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_shared;

struct sleeper {
    _Atomic int fd;        // eventfd to wake it by, -1: none yet
    bool asleep;           // in ppoll, or about to be; under the ready lock
    bool notified;         // was woken, or must not fall asleep; under the ready lock
    struct sleeper *next, *prev; // all that are asleep
};

struct sleeper *sleeper_self(void);
// sleeper_notify wakes s, or keeps it from falling asleep. Under the ready lock.
void sleeper_notify(struct sleeper *s);

// sleepers_wake wakes all that sleep, to look again. Takes the ready lock.
void sleepers_wake(void);

// sleep_until sleeps until one of fds[0..n) is ready, this thread is notified, the engine has work or a timer (if this thread
// is the keeper), a signal handler ran, or deadline (ns, < 0: none) has passed. There must be room for two more in
// fds. mask: the signals blocked while asleep. Returns the number of ready ones among fds[0..n), or -EINTR; sets *engine
// if the engine's wake descriptor was readable. A cancellation point.
int sleep_until(struct sl_shared *s, struct pollfd *fds, int n, int64_t deadline, const sigset_t *mask, bool *engine);

// sleeper_leaves: a handler of the program is about to run in this thread, and may jump away from its sleep: another keeps instead.
void sleeper_leaves(void);

// sleep_check_deadline: the engine's next timer may have become earlier: make the keeper look. Takes the ready lock if so.
void sleep_check_deadline(struct sl_shared *s);

// The keeper's (or the resting helper's) alarm: 0: nobody sleeps as keeper.
extern _Atomic uint64_t keeper_until;

void sleep_forked(void);

#endif
