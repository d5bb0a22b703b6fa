// SLUICE_SLOW_USEC: calls of the engine that take longer are logged. Otherwise it costs one branch that is always taken alike.
#ifndef SLUICE_SLOW_H
#define SLUICE_SLOW_H

#include <stdint.h>

#include "clock.h"
#include "knobs.h"

void slow_tell(int64_t since, const char *call);

static inline int64_t slow_begin(void) { return __builtin_expect(knobs.slow_usec != 0, 0) ? now_ns() : 0; }
static inline void slow_end(int64_t since, const char *call)
{
    if (__builtin_expect(since != 0, 0))
        slow_tell(since, call);
}

#endif
