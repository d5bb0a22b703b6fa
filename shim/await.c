// Listeners are offered again by the calls that wait on them (listener.h). Who has only connections may make no such call: a thread of ours asks,
// in a program that has the runtime's threads already.
#include "await.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "engine.h"
#include "raw.h"
#include "threads.h"

static _Atomic bool running;

static void *await_main(void *arg)
{
    pthread_setname_np(pthread_self(), "sluice");
    for (int64_t at; (at = engine_retry()) >= 0 && !engine_need();) {
        struct timespec t = { at / 1000000000, at % 1000000000 };
        RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    atomic_store(&running, false);
    return arg;
}

void await_engine(void)
{
    if (!engine_loaded || engine_retry() < 0 || atomic_exchange(&running, true))
        return;
    if (!thread_ours(await_main, NULL))
        atomic_store(&running, false);
}

void await_forked(void) { atomic_store(&running, false); }
