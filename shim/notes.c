// Logs what the engine has to say: it never prints itself.
#include "notes.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "log.h"

_Atomic uint32_t notes_logged;

// What was an error once is said once, also by an engine that is started anew each second because there is no broker.
#define SAID_MAX 64
static _Atomic uint32_t said[SAID_MAX];

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u; // FNV-1a
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h ? h : 1;
}

// first tells whether the text is new. A full list takes nothing more, so that a flood ends.
static bool first(const char *text)
{
    uint32_t h = hash(text);
    for (int i = 0; i < SAID_MAX; i++) {
        uint32_t was = 0;
        if (atomic_compare_exchange_strong(&said[i], &was, h))
            return true;
        if (was == h)
            return false;
    }
    return false;
}

void notes_log(struct sl_shared *s)
{
    uint32_t tail = atomic_load_explicit(&s->notes_tail, memory_order_acquire);
    uint32_t next = atomic_load_explicit(&notes_logged, memory_order_relaxed);
    while (next != tail) {
        uint32_t from = tail - next > SL_MAX_NOTES ? tail - SL_MAX_NOTES : next;
        if (atomic_compare_exchange_weak(&notes_logged, &next, from + 1)) { // each message is one thread's
            struct sl_note *n = &s->notes[from % SL_MAX_NOTES];
            if (n->level != LOG_ERROR || first(n->text))
                log_line((int)n->level, n->text);
            next = from + 1;
        }
    }
}

void notes_forked(void)
{
    atomic_store(&notes_logged, 0); // its engine counts anew
    for (int i = 0; i < SAID_MAX; i++)
        atomic_store(&said[i], 0);
}
