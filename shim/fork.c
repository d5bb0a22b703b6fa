// The ways to make a process of this program that run no atfork handlers: _Fork, clone, their numbers; and vfork.
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "fresh.h"
#include "ours.h"
#include "probe.h"
#include "process.h"
#include "raw.h"
#include "real.h"
#include "threads.h"

INTERPOSE pid_t _Fork(void)
{
    bool ours = process_ours();
    if (ours)
        process_forking();
    pid_t pid = real._Fork();
    if (ours)
        pid == 0 ? process_forked() : process_forked_parent();
    return pid;
}

// The process that calls it ends inside libc, unseen: what it has is the kernel's before.
INTERPOSE int daemon(int nochdir, int noclose)
{
    handover_all();
    return real.daemon(nochdir, noclose);
}

struct body {
    int (*fn)(void *);
    void *arg;
};

// in_clone begins the child. It ends by our _exit: what it leaves queued is the kernel's to send.
static int in_clone(void *p)
{
    struct body b = *(struct body *)p;
    threads_alone();
    process_forked();
    _exit(b.fn(b.arg));
}

// A clone that shares the memory is a thread of its maker's, or as vfork's child; one that does not is a fork.
INTERPOSE int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
    va_list ap;
    va_start(ap, arg);
    void *ptid = va_arg(ap, void *), *tls = va_arg(ap, void *), *ctid = va_arg(ap, void *);
    va_end(ap);
    if (flags & CLONE_VM || !fn || !stack || !process_ours())
        return real.clone(fn, stack, flags, arg, ptid, tls, ctid);
    struct body b = { fn, arg };
    process_forking();
    int pid = real.clone(in_clone, stack, flags, &b, ptid, tls, ctid);
    int err = errno;
    process_forked_parent();
    errno = err;
    return pid;
}

INTERPOSE int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) __attribute__((alias("clone"), copy(clone)));

// forks tells whether the system call makes a process with its own memory, which goes on here.
static bool forks(long nr, const long *a)
{
    uint64_t want[8] = { 0 }; // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack ...
    switch (nr) {
#ifdef SYS_fork
    case SYS_fork:
        return true;
#endif
    case SYS_clone:
        return !(a[0] & CLONE_VM) && a[1] == 0;
    case SYS_clone3:
        return probe_copy(want, (void *)a[0], 6 * sizeof want[0]) && !(want[0] & CLONE_VM) && want[5] == 0;
    }
    return false;
}

bool fork_by_number(long nr, const long *a, long *ret)
{
    if (!process_ours() || !forks(nr, a))
        return false;
    process_forking();
    long r = RAW(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r == 0)
        threads_alone();
    r == 0 ? process_forked() : process_forked_parent();
    *ret = raw_result(r);
    return true;
}

// A child of vfork shares our memory: what it closes would be closed in our map. While anything is ours, it gets its own.
__attribute__((used)) static void *vfork_target(void)
{
    if (shared() || atomic_load(&fd_files) != 0)
        return (void *)fork;
    fresh_forking();
    return (void *)real.vfork;
}

// vfork must not return through a frame of ours, which its child would destroy: it jumps.
__asm__(".text\n"
        ".globl vfork, __vfork\n"
        ".type vfork, %function\n"
        ".type __vfork, %function\n"
        "vfork:\n"
        "__vfork:\n"
#if defined(__x86_64__)
        "    subq $8, %rsp\n"
        "    call vfork_target\n"
        "    addq $8, %rsp\n"
        "    jmp *%rax\n"
#elif defined(__aarch64__)
        "    stp x29, x30, [sp, #-16]!\n"
        "    bl vfork_target\n"
        "    mov x16, x0\n"
        "    ldp x29, x30, [sp], #16\n"
        "    br x16\n"
#endif
        ".size vfork, .-vfork\n");
