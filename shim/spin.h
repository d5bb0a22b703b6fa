// Whether a wait begins with a spin. A spin pays if what is waited for comes while it lasts; else its time is lost, and with more threads than
// processors it is lost to the very thread that is waited for (two nginx workers and their clients on two processors: a fifth of the workers' time).
//
// So each thread remembers its last waits, whether they spun or slept, and spins while half of them were short: no longer than two spins. The second
// is for what a sleep adds, at both ends: two programs that sleep while they wait for each other would else never find out that they need not.
#ifndef SLUICE_SPIN_H
#define SLUICE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

// One bit for each of a thread's last eight waits, the newest lowest; set: it was longer. A new thread spins.
typedef uint8_t spin_memory;

static inline bool spin_pays(spin_memory m) { return __builtin_popcount(m) <= 4; }

// spin_learn notes a wait that took so long.
static inline void spin_learn(spin_memory *m, int64_t took_ns, unsigned spin_usec)
{
    *m = (spin_memory)(*m << 1 | (took_ns > 2000LL * spin_usec));
}

#endif
