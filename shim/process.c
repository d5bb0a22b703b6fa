// The life of the process: start, fork, exit.
#include <errno.h>
#include <stdlib.h>

#include "door.h"
#include "engine.h"
#include "fresh.h"
#include "heirs.h"
#include "knobs.h"
#include "listener.h"
#include "log.h"
#include "ours.h"
#include "process.h"
#include "raw.h"
#include "refuse.h"
#include "wait.h"

static _Atomic int main_pid;

// forked runs in every child of fork that libc knows of.
static void forked(void)
{
    atomic_store(&main_pid, (int)RAW(SYS_getpid));
    engine_forked();
    listener_forked();
    stage_forked();
    files_forked();
    wait_forked();
    heirs_child();
}

static void forking(void)
{
    fresh_forking();
    heirs_prepare();
    wait_prepare();
}

static void forked_parent(void)
{
    wait_parent();
    heirs_parent();
}

static void complain(const char *line) { log_line(LOG_ERROR, line); }

__attribute__((constructor)) static void start(int argc, char **argv, char **envp)
{
    (void)argc, (void)argv;
    int saved = errno;
    real_resolve();
    log_start();
    knobs_read(envp, complain);
    log_open();
    if (knobs.on && (knobs.listen.n > 0 || knobs.connect.n > 0)) {
        atomic_store(&main_pid, (int)RAW(SYS_getpid));
        pthread_atfork(forking, forked_parent, forked);
        image_start();
        refuse_start();
        listeners_inherited();
    }
    errno = saved;
}

void process_leave(void)
{
    if (!shared() || engine_inside || engine_pid != (int)RAW(SYS_getpid)) // a child that shares our memory is not us
        return;
    stage_end_all();
    ENGINE(sl_stop);
    files_left();
    engine_life->shared = NULL; // should an exec fail, the program goes on with the kernel
}

// The program's own exit handlers have run by now: what is still open is the kernel's to finish.
__attribute__((destructor)) static void finish(void) { process_leave(); }

INTERPOSE void _exit(int status)
{
    process_leave();
    for (;;)
        real.exit_now(status);
}

INTERPOSE void _Exit(int status) { _exit(status); }

// quick_exit ends by libc's own _exit, after the handlers of at_quick_exit: ours, set first, runs last.
static void leave_quickly(void) { process_leave(); }
__attribute__((constructor)) static void quick(void) { at_quick_exit(leave_quickly); }

// libc's _Fork runs no atfork handlers.
INTERPOSE pid_t _Fork(void)
{
    bool ours = atomic_load(&main_pid) != 0;
    if (ours)
        forking();
    pid_t pid = real._Fork();
    if (ours)
        pid == 0 ? forked() : forked_parent();
    return pid;
}

// A child of vfork shares our memory: what it closes would be closed in our map. While anything is ours, it gets its own.
__attribute__((used)) static void *vfork_target(void)
{
    return shared() || atomic_load(&fd_files) != 0 ? (void *)fork : (void *)real.vfork;
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
