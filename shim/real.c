// Looks up libc's functions: one table, one resolver.
#include "real.h"

#include <dlfcn.h>
#include <stdatomic.h>

#include "raw.h"

extern char **environ;

static atomic_int resolved; // 0 no, 1 yes

// While dlsym runs, the allocator it calls may call back into us: those calls must not look up again.
static _Thread_local bool resolving __attribute__((tls_model("initial-exec")));

static void exit_raw(int status)
{
    for (;;)
        RAW(SYS_exit_group, status);
}

#define X(ret, name, params, args, early)        \
    static ret early_##name params               \
    {                                            \
        if (real_resolve())                      \
            return real.name args;               \
        return early;                            \
    }
#include "real_calls.h"
#undef X

struct libc_calls real = {
#define X(ret, name, params, args, early) .name = early_##name,
#include "real_calls.h"
#undef X
    .exit_now = exit_raw,
};

// Names that this libc lacks keep their early form, which then is the plain system call. Every thread that gets here
// writes the same values, so no lock is needed: a lock could be held across fork or by a signal handler's caller.
bool real_resolve(void)
{
    if (atomic_load_explicit(&resolved, memory_order_acquire))
        return real.read != early_read;
    if (resolving)
        return false;
    int saved = errno;
    resolving = true;
    struct libc_calls found = real;
    void *sym;
#define X(ret, name, params, args, early)                                     \
    if ((sym = dlsym(RTLD_NEXT, #name)) != NULL)                              \
        __atomic_store_n((void **)(void *)&found.name, sym, __ATOMIC_RELAXED);
#include "real_calls.h"
#undef X
    if ((sym = dlsym(RTLD_NEXT, "_exit")) != NULL)
        found.exit_now = (void (*)(int))sym;
#define X(ret, name, params, args, early)                                     \
    __atomic_store_n((void **)(void *)&real.name, *(void **)(void *)&found.name, __ATOMIC_RELAXED);
#include "real_calls.h"
#undef X
    real.exit_now = found.exit_now;
    resolving = false;
    atomic_store_explicit(&resolved, 1, memory_order_release);
    errno = saved;
    return true;
}
