// The loop that every blocking call shares: look, spin, sleep, look again.
#ifndef SLUICE_WAIT_RUN_H
#define SLUICE_WAIT_RUN_H

#include "ready.h"
#include "wait_frame.h"

struct wait {
    // check looks at everything that is waited for: > 0: the call is done with this result, 0: nothing yet, < 0: -errno.
    int (*check)(struct wait *w);
    // peek: check may find something (cheap, no lock, no system call).
    bool (*peek)(struct wait *w);
    // early: what is waited for may be had without the engine, so that it had better not work first. May be NULL.
    bool (*early)(struct wait *w);
    // arm lists the frame with whatever must wake it. Under the ready lock.
    bool (*arm)(struct wait *w, struct frame *f);

    // release gives back what the caller holds, if the thread is cancelled. May be NULL.
    void (*release)(struct wait *w);

    int64_t deadline;      // ns, < 0: none, 0: do not wait
    const sigset_t *mask;  // signals blocked while waiting, NULL: as they are
    struct pollfd *fds;    // the kernel's share of what is waited for, with room for SLEEP_MORE more
    int nfds;
    int kernel;            // how many of fds are ready: revents are valid; -1: not asked yet
    bool restart;          // go on after handlers installed with SA_RESTART
    struct sl_shared *shared;
};

// wait_run returns what check returned, 0 when the deadline has passed, -EINTR after a signal handler.
int wait_run(struct wait *w);

// deadline_ms and deadline_ts turn a call's time-out into a deadline. ms < 0 or t NULL: none. -EINVAL for a time that is none.
int64_t deadline_ms(int ms);
int deadline_ts(const struct timespec *t, int64_t *deadline);

#endif
