// Listeners are offered again by the calls that wait on them (listener.h). Who has only connections may make no such call: a thread of ours asks,
// in a program that has the runtime's threads already.
#include "await.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "engine.h"
#include "raw.h"
#include "real.h"

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
    pthread_t t;
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (real.pthread_create(&t, &attr, await_main, NULL) != 0)
        atomic_store(&running, false);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

void await_forked(void) { atomic_store(&running, false); }
