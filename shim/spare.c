// Go ends the process when it cannot begin a thread, and a process may be forbidden at any time to begin one (RLIMIT_NPROC, RLIMIT_AS, pids.max). So a few
// threads are made while that is allowed, and wait for such a moment.
#include "spare.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>

#include "raw.h"
#include "real.h"

enum { SPARES = 4 };

static struct spare {
    _Atomic uint32_t state; // a futex: see below
    _Atomic long pid;       // whose thread it is: a forked child has none
    pthread_t id;
    void *(*fn)(void *);
    void *arg;
} spares[SPARES];

enum { NONE, MAKING, WAITING, CHOSEN };

static _Atomic size_t stack; // of each

static void *wait_main(void *p)
{
    struct spare *s = p;
    while (atomic_load(&s->state) != CHOSEN)
        RAW(SYS_futex, &s->state, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, WAITING, NULL, NULL, 0);
    void *(*fn)(void *) = s->fn;
    void *arg = s->arg;
    atomic_store(&s->state, NONE);
    return fn(arg);
}

void spare_fill(void)
{
    long pid = RAW(SYS_getpid);
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    size_t size = 0;
    pthread_attr_getstacksize(&attr, &size);
    atomic_store(&stack, size);
    for (struct spare *s = spares; s < spares + SPARES; s++) {
        uint32_t was = atomic_load(&s->state);
        if ((was != NONE && atomic_load(&s->pid) == pid) || !atomic_compare_exchange_strong(&s->state, &was, MAKING))
            continue;
        atomic_store(&s->pid, pid);
        bool made = real.pthread_create(&s->id, &attr, wait_main, s) == 0;
        atomic_store(&s->state, made ? WAITING : NONE);
        if (!made)
            break;
    }
    pthread_attr_destroy(&attr);
}

bool spare_begin(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    long pid = RAW(SYS_getpid);
    int detached = PTHREAD_CREATE_JOINABLE;
    size_t wanted = 0;
    if (!attr || pthread_attr_getdetachstate(attr, &detached) != 0 || detached != PTHREAD_CREATE_DETACHED)
        return false;
    if (pthread_attr_getstacksize(attr, &wanted) != 0 || wanted > atomic_load(&stack))
        return false;
    for (struct spare *s = spares; s < spares + SPARES; s++) {
        uint32_t was = WAITING;
        if (atomic_load(&s->pid) != pid || !atomic_compare_exchange_strong(&s->state, &was, MAKING))
            continue;
        s->fn = fn, s->arg = arg, *t = s->id;
        atomic_store(&s->state, CHOSEN);
        RAW(SYS_futex, &s->state, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
        return true;
    }
    return false;
}
