// Keeps the program's signals away from the engine's threads.
//
// A Go thread unblocks SIGCHLD, SIGPROF and the faults, whatever mask it starts with. SIGCHLD then may be taken by a thread
// that no program knows of: a signalfd or sigwait misses it. So each such thread, before Go's code runs in it, blocks all signals and
// sends itself THREADS_SIGNAL. It stays pending until Go unblocks it, and at that moment the handler (signals.c) fills the mask
// that the thread returns to. From then on nothing is delivered there.
#include "threads.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "engine.h"
#include "raw.h"
#include "real.h"
#include "signals.h"
#include "spare.h"

_Thread_local bool thread_of_engine __attribute__((tls_model("initial-exec")));
static _Thread_local bool making __attribute__((tls_model("initial-exec")));

// Where the engine's code lies; a forked child's copy comes on top of its parent's dead one. Threads may be made meanwhile.
static _Atomic uintptr_t image_low, image_high;

void threads_of_engine(bool on) { making = on; }

static int find_image(struct dl_phdr_info *info, size_t size, void *in)
{
    (void)size;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD)
            continue;
        uintptr_t at = info->dlpi_addr + p->p_vaddr;
        low = at < low ? at : low;
        high = at + p->p_memsz > high ? at + p->p_memsz : high;
    }
    if ((uintptr_t)in < low || (uintptr_t)in >= high)
        return 0;
    atomic_store(&image_high, 0); // no code is between one's low and another's high
    atomic_store(&image_low, low);
    atomic_store(&image_high, high);
    return 1;
}

void threads_image(void *in) { dl_iterate_phdr(find_image, in); }
bool threads_in_image(uintptr_t pc) { return pc >= atomic_load(&image_low) && pc < atomic_load(&image_high); }

// libc's own __libc_single_threaded; a program may have a copy.
static char *single;

void threads_start(void) { single = dlsym(RTLD_NEXT, "__libc_single_threaded"); }

// libc does not hear of a process that was made past fork, and takes our threads for the child's: setuid there would wait for each of them.
void threads_alone(void)
{
    if (single)
        *single = 1;
}

static void block_all(sigset_t *old)
{
    uint64_t all = SIGNALS_ALL;
    RAW(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, 8);
}

// What a thread is to do, until it has begun. Not from malloc, which may have nothing: Go would end the process.
static struct start {
    _Atomic bool taken;
    void *(*fn)(void *);
    void *arg;
} starts[16];

static struct start *start_of(void *(*fn)(void *), void *arg)
{
    for (struct start *s = starts; s < starts + sizeof starts / sizeof starts[0]; s++)
        if (!atomic_exchange(&s->taken, true)) {
            s->fn = fn, s->arg = arg;
            return s;
        }
    return NULL;
}

static void *engine_thread(void *p)
{
    struct start *told = p, s = { .fn = told->fn, .arg = told->arg };
    atomic_store(&told->taken, false);
    thread_of_engine = true;
    block_all(NULL);
    RAW(SYS_tgkill, RAW(SYS_getpid), RAW(SYS_gettid), THREADS_SIGNAL);
    return s.fn(s.arg);
}

static void rest(void) { RAW(SYS_nanosleep, &(struct timespec){ .tv_nsec = 10000000 }, NULL); }

INTERPOSE int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    bool engine = making || thread_of_engine || threads_in_image((uintptr_t)fn);
    if (!engine)
        return real.pthread_create(t, attr, fn, arg);
    struct start *s;
    while (!(s = start_of(fn, arg))) // as many begin just now
        rest();
    int r;
    while ((r = real.pthread_create(t, attr, engine_thread, s)) != 0) {
        if (spare_begin(t, attr, engine_thread, s))
            return 0;
        if (r != EAGAIN || making) {
            atomic_store(&s->taken, false);
            return r;
        }
        rest(); // Go would end the process
    }
    spare_fill();
    return 0;
}

// A thread of the program that enters Go for the first time is given Go's mask and keeps it: put its own back.
_Thread_local bool engine_met __attribute__((tls_model("initial-exec")));
static _Thread_local uint64_t met_mask __attribute__((tls_model("initial-exec")));

void engine_meet(void) { RAW(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &met_mask, 8); }

void engine_part(void)
{
    RAW(SYS_rt_sigprocmask, SIG_SETMASK, &met_mask, NULL, 8);
    engine_met = true;
}

bool thread_ours(void *(*run)(void *), void *arg)
{
    pthread_t t;
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 512 << 10);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = real.pthread_create(&t, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r == 0;
}
