// The engine's messages.
#ifndef SLUICE_NOTES_H
#define SLUICE_NOTES_H

#include "../cabi/cabi.h"

extern _Atomic uint32_t notes_logged; // how many were, ever
void notes_log(struct sl_shared *s); // logs what is new in the ring of messages; cheap if there is nothing
void notes_forked(void);              // in a forked child: it speaks for itself

static inline void notes_check(struct sl_shared *s)
{
    if (__builtin_expect(s->notes_tail != notes_logged, 0))
        notes_log(s);
}

#endif
