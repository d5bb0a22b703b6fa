// The turnstile in front of the engine: one thread at a time is in it. The engine has a lock as well, but whoever waits for that waits in Go, whose
// scheduler parks a goroutine and hands a processor on: three futex calls a request of a server with a thread for each connection, and no order in
// which such threads go on.
#ifndef SLUICE_TURNSTILE_H
#define SLUICE_TURNSTILE_H

#include <stdatomic.h>
#include <stdint.h>

#include "locks.h"

// 0: nobody is in; 1: somebody; 2: somebody, and others may wait.
typedef _Atomic uint32_t turnstile;

void turnstile_wait(turnstile *t);
void turnstile_wake(turnstile *t);

static inline void turnstile_in(turnstile *t)
{
    uint32_t nobody = 0;
    lock_takes(LOCK_ENGINE);
    if (__builtin_expect(!atomic_compare_exchange_strong_explicit(t, &nobody, 1, memory_order_acquire, memory_order_relaxed), 0))
        turnstile_wait(t);
    lock_has(LOCK_ENGINE, 1);
}

static inline void turnstile_out(turnstile *t)
{
    lock_has(LOCK_ENGINE, -1);
    if (__builtin_expect(atomic_exchange_explicit(t, 0, memory_order_release) == 2, 0))
        turnstile_wake(t);
}

#endif
