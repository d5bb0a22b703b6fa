// The life of the process: start, fork, exit.
#include <errno.h>
#include <stdlib.h>

#include "await.h"
#include "door.h"
#include "engine.h"
#include "fresh.h"
#include "hands.h"
#include "heirs.h"
#include "knobs.h"
#include "listener.h"
#include "locks.h"
#include "log.h"
#include "ours.h"
#include "process.h"
#include "raw.h"
#include "ready.h"
#include "recycle.h"
#include "refuse.h"
#include "space.h"
#include "threads.h"
#include "wait.h"

static _Atomic int main_pid; // 0: this process has nothing to do with us

bool process_ours(void) { return atomic_load(&main_pid) != 0; }

bool process_self(void) { return atomic_load(&main_pid) == (int)RAW(SYS_getpid); }

void process_forked(void)
{
    atomic_store(&main_pid, (int)RAW(SYS_getpid));
    locks_forked();
    ready_lock_forked(); // wait_prepare has taken it, and a file that ends here asks for it
    recycle_forked();
    engine_forked();
    listener_forked();
    stage_forked();
    files_forked();
    wait_forked();
    await_forked();
    heirs_child();
    hands_off(-1);
}

void process_forking(void)
{
    fresh_forking();
    heirs_prepare();
    wait_prepare();
}

void process_forked_parent(void)
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
        pthread_atfork(process_forking, process_forked_parent, process_forked);
        image_start();
        refuse_start();
        space_start();
        threads_start();
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
    heirs_leave();
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
