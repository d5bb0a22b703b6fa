// Logs what the engine has to say: it never prints itself.
#include "notes.h"

#include <stdatomic.h>

#include "log.h"

_Atomic uint32_t notes_logged;

void notes_log(struct sl_shared *s)
{
    uint32_t tail = atomic_load_explicit(&s->notes_tail, memory_order_acquire);
    uint32_t next = atomic_load_explicit(&notes_logged, memory_order_relaxed);
    while (next != tail) {
        uint32_t from = tail - next > SL_MAX_NOTES ? tail - SL_MAX_NOTES : next;
        if (atomic_compare_exchange_weak(&notes_logged, &next, from + 1)) { // each message is one thread's
            struct sl_note *n = &s->notes[from % SL_MAX_NOTES];
            log_line((int)n->level, n->text);
            next = from + 1;
        }
    }
}
