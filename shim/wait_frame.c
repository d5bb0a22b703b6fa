#include "wait_frame.h"

#include "epoll_set.h"
#include "pages.h"

#define DEPTH 4
#define SMALL 4096
static _Thread_local struct frame frames[DEPTH] __attribute__((tls_model("initial-exec")));
static _Thread_local int depth __attribute__((tls_model("initial-exec")));

// undo takes the frame out of every list. What it holds is freed outside the lock.
static void undo(struct frame *f)
{
    ready_lock();
    for (int i = 0; i < f->nwaiters; i++)
        waiter_remove(&f->waiters[i]);
    if (f->set)
        set_thread_leaves(f->set, f);
    ready_unlock();
    if (f->bytes > SMALL) {
        pages_free(f->memory, f->bytes);
        f->memory = NULL;
        f->bytes = 0;
    }
    f->set = NULL;
    f->waiters = NULL;
    f->nwaiters = 0;
}

struct frame *frame_enter(void)
{
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    // A frame whose call lies above us in the stack was left by longjmp. (On a signal stack this may hit the interrupted wait: that
    // one ends with EINTR anyway.)
    bool left = false;
    for (; depth > 0 && frames[depth - 1].sp <= sp; left = true)
        undo(&frames[--depth]);
    if (left)
        sleeper_release();
    if (depth == DEPTH)
        return NULL;
    struct frame *f = &frames[depth++];
    f->sp = sp;
    f->who = sleeper_self();
    return f;
}

void frame_leave(struct frame *f)
{
    if (f) {
        undo(f);
        if (depth > 0 && f == &frames[depth - 1])
            depth--;
    }
    sleeper_release();
}

void *frame_memory(struct frame *f, size_t bytes)
{
    if (f->bytes < bytes) {
        size_t want = bytes > SMALL ? bytes : SMALL;
        void *p = pages_new(want);
        if (!p)
            return NULL;
        if (f->memory)
            pages_free(f->memory, f->bytes);
        f->memory = p;
        f->bytes = want;
    }
    return f->memory;
}

void frames_drop_all(void)
{
    while (depth > 0)
        undo(&frames[--depth]);
    for (int i = 0; i < DEPTH; i++)
        if (frames[i].memory)
            pages_free(frames[i].memory, frames[i].bytes);
}

void frames_forked(void)
{
    for (int i = 0; i < DEPTH; i++)
        frames[i] = (struct frame){ 0 };
    depth = 0;
}
