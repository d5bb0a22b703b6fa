// The trampoline in front of handlers must run on the thread's alternate stack, for inside the engine the stack is small. A
// handler that did not ask for that may need far more than the alternate stack has, so it is called on the interrupted one.
//
//	alternate stack |............free............|signal frame|
//	                 ^ss_sp                       ^sp          the handler's own signals use the free part meanwhile
#include "sigstack.h"

#include <stdbool.h>
#include <stdint.h>

#include "raw.h"

#define LEAST (16 << 10) // smaller than this, the free part is no alternate stack

static bool within(uintptr_t sp, const stack_t *st)
{
    uintptr_t low = (uintptr_t)st->ss_sp;
    return sp >= low && sp < low + st->ss_size;
}

// A call that waits to be made on another stack.
struct call {
    void (*fn)(int, siginfo_t *, void *);
    int sig;
    siginfo_t *info;
    ucontext_t *uc;
    stack_t rest;
};

// make runs on the interrupted stack. The kernel puts the whole alternate stack back when the signal frame is left.
static void make(struct call *c)
{
    RAW(SYS_sigaltstack, &c->rest, NULL);
    c->fn(c->sig, c->info, c->uc);
}

#if defined(__x86_64__)
#define RED_ZONE 128

static uintptr_t interrupted_sp(const ucontext_t *uc) { return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP]; }

static void make_on(uintptr_t sp, struct call *c)
{
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[sp], %%rsp\n\t"
                     "call *%[make]\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(c)
                     : [sp] "r"(sp), [make] "r"(make)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
}
#elif defined(__aarch64__)
#define RED_ZONE 0

static uintptr_t interrupted_sp(const ucontext_t *uc) { return (uintptr_t)uc->uc_mcontext.sp; }

static void make_on(uintptr_t sp, struct call *c)
{
    register struct call *x0 __asm__("x0") = c;
    __asm__ volatile("mov x19, sp\n\t"
                     "mov sp, %[sp]\n\t"
                     "blr %[make]\n\t"
                     "mov sp, x19"
                     : "+r"(x0)
                     : [sp] "r"(sp), [make] "r"(make)
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "x18", "x19", "x30", "memory", "cc");
}
#endif

_Thread_local uintptr_t sigstack_lender __attribute__((tls_model("initial-exec")));
static _Thread_local stack_t full __attribute__((tls_model("initial-exec")));

// unwound: the outermost call on an interrupted stack was left by a jump: the alternate stack is whole again.
static bool unwound(uintptr_t sp) { return sigstack_lender != 0 && sp > sigstack_lender; }

void sigstack_check(uintptr_t sp)
{
    if (!unwound(sp))
        return;
    RAW(SYS_sigaltstack, &full, NULL);
    sigstack_lender = 0;
}

// lend prepares what is left of the alternate stack for signals that come during the call; if that is too little, none.
static void lend(struct call *c, uintptr_t sp)
{
    uintptr_t low = (uintptr_t)c->rest.ss_sp, here = (uintptr_t)c;
    if (sigstack_lender == 0) {
        full = c->uc->uc_stack;
        sigstack_lender = sp;
    }
    c->rest.ss_size = (here - 512 - low) & ~(uintptr_t)63; // what is still needed here lies within 512
    if (c->rest.ss_size < LEAST || c->rest.ss_size > c->uc->uc_stack.ss_size)
        c->rest.ss_flags = SS_DISABLE;
}

void sigstack_call(const struct sigaction *sa, int sig, siginfo_t *info, ucontext_t *uc)
{
    struct call c = { sa->sa_sigaction, sig, info, uc, uc->uc_stack };
    uintptr_t sp = interrupted_sp(uc);
    bool moved = within((uintptr_t)&c, &uc->uc_stack) && !within(sp, &uc->uc_stack); // here by our SA_ONSTACK
    if (!moved || sa->sa_flags & SA_ONSTACK) {
        c.fn(sig, info, uc);
        return;
    }
    if (unwound(sp)) {
        uc->uc_stack = full; // as the kernel shall set it when this handler returns
        sigstack_lender = 0;
    }
    bool first = sigstack_lender == 0;
    lend(&c, sp);
    make_on((sp - RED_ZONE - 64) & ~(uintptr_t)15, &c);
    if (first)
        sigstack_lender = 0;
}
