// The program's signal handlers while an engine is in the process.
#ifndef SLUICE_SIGNALS_H
#define SLUICE_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

// All signals but the two that libc keeps for itself: by one a thread is cancelled, by the other it changes its user when another thread calls
// setuid, which waits for it.
#define SIGNALS_ALL (~(3ull << 31))
static inline bool signal_libcs(int sig) { return sig == 32 || sig == 33; }

struct signals_kept {
    uint64_t mask;
    struct kernel_sigaction {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } act[65];
};

// signals_keep blocks every signal in this thread and notes all dispositions; signals_restore puts both back. Not those of libc's own: it installs them
// with the first thread of the process, which may be one of the engine's, and Go has them use its stacks.
void signals_keep(struct signals_kept *k);
void signals_restore(struct signals_kept *k);
// signals_engine, between the two: the engine's handlers of faults are kept for faults in its own code.
void signals_engine(struct signals_kept *k);
// signals_wrap puts our trampoline in front of every handler that the program has; from then on sigaction does so for new ones.
void signals_wrap(void);
void signals_forked(void); // in a forked child

#endif
