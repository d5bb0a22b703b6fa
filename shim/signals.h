// The program's signal handlers while an engine is in the process.
#ifndef SLUICE_SIGNALS_H
#define SLUICE_SIGNALS_H

#include <stdint.h>

struct signals_kept {
    uint64_t mask;
    struct kernel_sigaction {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } act[65];
};

// signals_keep blocks every signal in this thread and notes all dispositions; signals_restore puts both back.
void signals_keep(struct signals_kept *k);
void signals_restore(struct signals_kept *k);
// signals_engine, between the two: the engine's handlers of faults are kept for faults in its own code.
void signals_engine(struct signals_kept *k);
// signals_wrap puts our trampoline in front of every handler that the program has; from then on sigaction does so for new ones.
void signals_wrap(void);
void signals_forked(void); // in a forked child

#endif
