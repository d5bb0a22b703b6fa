// Signal handlers and the engine.
//
// From the moment an engine starts in the process, every handler of the program is reached through a trampoline. It holds a signal
// back while its thread is inside the engine (a handler that reads a socket would wait for itself there, and Go's stacks are
// small), keeps handlers out of the engine's own threads, and notes whether the handler would have let a system call go on (SA_RESTART).
#include "signals.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>

#include "engine.h"
#include "hands.h"
#include "probe.h"
#include "raw.h"
#include "real.h"
#include "sigstack.h"
#include "sleep.h"
#include "threads.h"

_Thread_local volatile int engine_inside __attribute__((tls_model("initial-exec")));
_Thread_local volatile int signals_held __attribute__((tls_model("initial-exec")));
_Thread_local volatile unsigned sig_plain __attribute__((tls_model("initial-exec")));
_Thread_local volatile unsigned sig_any __attribute__((tls_model("initial-exec")));

// The signal that this thread held back: only one, as all are blocked after it.
static _Thread_local siginfo_t held_info __attribute__((tls_model("initial-exec")));
static _Thread_local uint64_t held_mask __attribute__((tls_model("initial-exec")));
static _Thread_local pid_t held_by __attribute__((tls_model("initial-exec"))); // the process

static struct sigaction user[65]; // the program's own dispositions, where a trampoline stands for them
static _Atomic bool wrapped;
static atomic_flag user_lock = ATOMIC_FLAG_INIT;

static bool is_function(const struct sigaction *sa)
{
    return sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN && sa->sa_handler != SIG_ERR;
}

static uint64_t mask_set(uint64_t mask)
{
    uint64_t old;
    RAW(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &old, 8);
    return old;
}

static void mask_fill(ucontext_t *uc) { memcpy(&uc->uc_sigmask, &(uint64_t){ SIGNALS_ALL }, 8); }

// The engine's own handlers of faults (Go makes a panic of one in its code, and the engine survives that), by signal.
static void (*_Atomic engine_fault[65])(int, siginfo_t *, void *);

// always_ours: signals for which a trampoline stands even if the program has no handler.
static bool always_ours(int sig) { return sig == THREADS_SIGNAL || (sig > 0 && sig < 65 && atomic_load(&engine_fault[sig])); }

// A fault of the thread's own instruction can't wait.
static bool is_fault(int sig, const siginfo_t *info)
{
    return info->si_code > 0 && (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP);
}

static void trampoline(int sig, siginfo_t *info, void *ctx);

static int install(int sig, const struct sigaction *sa)
{
    struct sigaction k = *sa;
    k.sa_sigaction = trampoline;
    k.sa_flags |= SA_SIGINFO | SA_ONSTACK;
    if (!is_function(sa)) // always_ours
        k.sa_flags |= SA_RESTART;
    return real.sigaction(sig, &k, NULL);
}

static void hold(int sig, const siginfo_t *info, ucontext_t *uc)
{
    held_info = *info;
    held_info.si_signo = sig;
    held_by = (pid_t)RAW(SYS_getpid);
    memcpy(&held_mask, &uc->uc_sigmask, 8);
    mask_fill(uc);
    signals_held = 1;
    if (user[sig].sa_flags & SA_RESETHAND)
        install(sig, &user[sig]);
}

void hands_off(int by)
{
    engine_inside += by;
    if (by < 0 && engine_inside == 0 && signals_held)
        signals_release();
}

void signals_release(void)
{
    siginfo_t info = held_info;
    int saved = errno;
    signals_held = 0;
    RAW(SYS_rt_tgsigqueueinfo, RAW(SYS_getpid), RAW(SYS_gettid), info.si_signo, &info);
    mask_set(held_mask); // here it is delivered
    errno = saved;
}

// no_handler does what the kernel would without a handler. A fault happens again when its instruction does.
static void no_handler(int sig, bool fault, ucontext_t *uc)
{
    if (user[sig].sa_handler == SIG_IGN && !fault)
        return;
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    real.sigaction(sig, &dfl, NULL);
    if (!fault)
        RAW(SYS_tgkill, RAW(SYS_getpid), RAW(SYS_gettid), sig);
    sigdelset(&uc->uc_sigmask, sig);
}

static uintptr_t pc_of(const ucontext_t *uc)
{
#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)uc->uc_mcontext.pc;
#endif
}

static void go_on_at(ucontext_t *uc, uintptr_t pc)
{
#if defined(__x86_64__)
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
#else
    uc->uc_mcontext.pc = pc;
#endif
}

// engine_faulted passes a fault in the engine's code to the engine. False: it is not the engine's, or the engine passed it on.
static bool engine_faulted(int sig, siginfo_t *info, void *ctx)
{
    static _Thread_local bool inside __attribute__((tls_model("initial-exec")));
    if (inside || !always_ours(sig) || !threads_in_image(pc_of(ctx)))
        return false;
    inside = true;
    atomic_load(&engine_fault[sig])(sig, info, ctx);
    inside = false;
    return true;
}

static void trampoline(int sig, siginfo_t *info, void *ctx)
{
    ucontext_t *uc = ctx;
    bool fault = is_fault(sig, info);
    if (fault && probe_resume(pc_of(uc))) {
        go_on_at(uc, probe_resume(pc_of(uc)));
        return;
    }
    if (fault && engine_faulted(sig, info, ctx))
        return;
    if (!fault && thread_of_engine) {
        int saved = errno;
        mask_fill(uc);
        if (sig != THREADS_SIGNAL || info->si_code != SI_TKILL || info->si_pid != (pid_t)RAW(SYS_getpid))
            RAW(SYS_rt_sigqueueinfo, RAW(SYS_getpid), sig, info); // for a thread of the program
        errno = saved;
        return;
    }
    if (!fault && engine_inside) {
        hold(sig, info, uc);
        return;
    }
    if (!is_function(&user[sig])) {
        no_handler(sig, fault, uc);
        return;
    }
    sig_any++;
    if (!(user[sig].sa_flags & SA_RESTART))
        sig_plain++;
    sleeper_leaves();
    sigstack_call(&user[sig], sig, info, uc);
}

void signals_wrap(void)
{
    if (atomic_exchange(&wrapped, true))
        return;
    for (int sig = 1; sig <= 64; sig++) {
        struct sigaction sa;
        if (sig == SIGKILL || sig == SIGSTOP || real.sigaction(sig, NULL, &sa) != 0)
            continue; // among them those that libc keeps for itself
        user[sig] = sa;
        if (is_function(&sa) || always_ours(sig))
            install(sig, &sa);
    }
}

static int sigaction_wrapped(int sig, const struct sigaction *sa, struct sigaction *old)
{
    struct sigaction was, now;
    uint64_t mask = mask_set(SIGNALS_ALL);
    while (atomic_flag_test_and_set(&user_lock))
        ;
    int r = real.sigaction(sig, NULL, &was);
    if (r == 0 && was.sa_sigaction == trampoline)
        was = user[sig];
    if (r == 0 && sa) {
        struct sigaction before = user[sig];
        now = *sa;
        user[sig] = now; // first: the trampoline may run at once
        r = is_function(&now) || always_ours(sig) ? install(sig, &now) : real.sigaction(sig, &now, NULL);
        if (r != 0)
            user[sig] = before;
    }
    if (r == 0 && old)
        *old = was;
    atomic_flag_clear(&user_lock);
    mask_set(mask);
    return r;
}

INTERPOSE int sigaction(int sig, const struct sigaction *sa, struct sigaction *old)
{
    if (!atomic_load_explicit(&wrapped, memory_order_relaxed))
        return real.sigaction(sig, sa, old);
    return sigaction_wrapped(sig, sa, old);
}

INTERPOSE int __sigaction(int sig, const struct sigaction *sa, struct sigaction *old) { return sigaction(sig, sa, old); }

void signals_forked(void)
{
    atomic_flag_clear(&user_lock); // another thread of the parent may have had it
    if (signals_held && held_by != (pid_t)RAW(SYS_getpid)) { // it came to the parent, and is delivered there
        signals_held = 0;
        mask_set(held_mask);
    }
}

void signals_keep(struct signals_kept *k)
{
    k->mask = mask_set(SIGNALS_ALL);
    for (int sig = 1; sig <= 64; sig++)
        RAW(SYS_rt_sigaction, sig, NULL, &k->act[sig], 8);
}

void signals_restore(struct signals_kept *k)
{
    for (int sig = 1; sig <= 64; sig++) {
        struct kernel_sigaction is;
        if (!signal_libcs(sig) && RAW(SYS_rt_sigaction, sig, NULL, &is, 8) == 0 && memcmp(&is, &k->act[sig], sizeof is) != 0)
            RAW(SYS_rt_sigaction, sig, &k->act[sig], NULL, 8);
    }
    mask_set(k->mask);
}

void signals_engine(struct signals_kept *k)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        int sig = faults[i];
        struct kernel_sigaction is;
        RAW(SYS_rt_sigaction, sig, NULL, &is, 8);
        if (is.handler == k->act[sig].handler)
            continue;
        atomic_store(&engine_fault[sig], (void (*)(int, siginfo_t *, void *))is.handler);
        RAW(SYS_rt_sigaction, sig, &k->act[sig], NULL, 8);
        install(sig, &user[sig]);
        RAW(SYS_rt_sigaction, sig, NULL, &k->act[sig], 8);
    }
}
