#include "turnstile.h"

#include <linux/futex.h>

#include "pause.h"
#include "raw.h"

// A call takes some microseconds, a futex_wait and the wake-up about as long.
#define TRIES 200

void turnstile_wait(turnstile *t)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t nobody = 0;
        if (atomic_load_explicit(t, memory_order_relaxed) == 0 && atomic_compare_exchange_weak_explicit(t, &nobody, 1, memory_order_acquire, memory_order_relaxed))
            return;
        pause_cpu();
    }
    while (atomic_exchange_explicit(t, 2, memory_order_acquire) != 0)
        RAW(SYS_futex, t, FUTEX_WAIT_PRIVATE, 2, 0);
}

void turnstile_wake(turnstile *t) { RAW(SYS_futex, t, FUTEX_WAKE_PRIVATE, 1); }
