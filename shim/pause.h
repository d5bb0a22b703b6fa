// A moment in a loop that waits awake: the processor's other thread goes on meanwhile.
#ifndef SLUICE_PAUSE_H
#define SLUICE_PAUSE_H

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

#endif
