// On which stack a handler of the program runs.
#ifndef SLUICE_SIGSTACK_H
#define SLUICE_SIGSTACK_H

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

// sigstack_call calls the handler of sa where the kernel would have called it: on the interrupted stack, unless sa has SA_ONSTACK.
void sigstack_call(const struct sigaction *sa, int sig, siginfo_t *info, ucontext_t *uc);
// sigstack_check, before the engine is entered: a handler that left by a jump has left the alternate stack lent out.
extern _Thread_local uintptr_t sigstack_lender __attribute__((tls_model("initial-exec"))); // 0: it is whole
void sigstack_check(uintptr_t sp);

#endif
