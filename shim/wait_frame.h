// One wait of one thread: what must be undone when it ends, also if it ends by thread cancellation or by a signal handler that
// jumps out of it. Therefore nothing that other threads may look at lives on the stack: frames and their memory belong to the thread.
#ifndef SLUICE_WAIT_FRAME_H
#define SLUICE_WAIT_FRAME_H

#include <stdint.h>

#include "ready.h"

struct ep_set;

struct frame {
    uintptr_t sp;           // address in the stack of the call that waits
    struct waiter *waiters; // listed handles
    int nwaiters;
    struct ep_set *set;     // listed in this set's threads
    struct frame *next, *prev;
    struct sleeper *who;
    void *memory;
    size_t bytes;
};

// frame_enter begins a wait; NULL: too many nested waits (handlers that wait), the caller looks again each millisecond. frame_leave
// ends it.
struct frame *frame_enter(void);
void frame_leave(struct frame *f);
// frame_memory: zeroed memory for the frame's waiters; NULL: none left.
void *frame_memory(struct frame *f, size_t bytes);
void frames_drop_all(void);
void frames_forked(void);

// sleeper_release: this thread stops sleeping: if it was the keeper, somebody else becomes it.
void sleeper_release(void);

#endif
