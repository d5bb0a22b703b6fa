// The slots of stage.c, for what fills them (stage.c) and what empties them (stage_give.c).
#ifndef SLUICE_STAGE_SLOT_H
#define SLUICE_STAGE_SLOT_H

#include "stage.h"

#define STAGE_SLOTS 64

// A slot belongs to one file from the first octet (or the cork) until what it holds is in the engine. The lock orders those who use it.
struct stage {
    _Atomic(struct file *) file; // NULL: free
    _Atomic(const void *) owner; // the thread that opened it
    _Atomic bool locked;
    bool corked; // the program has set TCP_CORK, and not cleared it
    bool whole;  // it has cleared it: all this is one write
    size_t len;
    char *data;
};

// What this thread has opened since it last gave everything; a slot may have passed to others since. Its address names the thread.
struct stage_own {
    unsigned n;
    struct stage *slot[STAGE_SLOTS];
};
extern _Thread_local struct stage_own stage_own __attribute__((tls_model("initial-exec")));

// stage_next: the next slot in use that is of this thread, or anybody's (all). at counts, from 0; NULL: that was all.
struct stage *stage_next(bool all, unsigned *at);

// stage_hold locks the slot of f; NULL: it has none (any more). stage_try locks s, if nobody else uses it and it is somebody's.
struct stage *stage_hold(struct file *f);
bool stage_try(struct stage *s);
void stage_unlock(struct stage *s);
// stage_free gives s, which is locked, back: it is nobody's.
void stage_free(struct stage *s, struct file *f);
// stage_give_one passes what s holds to the engine, of which the caller is within.
void stage_give_one(struct file *f, struct stage *s);

#endif
