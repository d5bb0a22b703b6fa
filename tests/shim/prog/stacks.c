// On which stack handlers run, and what they may do there.
#include "prog.h"

#include <setjmp.h>

static char alt[256 << 10];
static char *base; // somewhere in main's frame
static int l, port, peer, fd;
static volatile int depth, deepest;
static sigjmp_buf jump;

static int on_alt(void *p) { return (char *)p >= alt && (char *)p < alt + sizeof alt; }

static void where(int sig)
{
    char big[128 << 10]; // more than an alternate stack usually has
    memset(big, sig, sizeof big);
    show("handler", "%s, %s", on_alt(big) ? "alternate" : "not the program's alternate", base - big > 0 && base - big < (8 << 20) ? "main's stack" : "another");
}

static void where_alt(int sig)
{
    char small[64];
    memset(small, sig, sizeof small);
    show("SA_ONSTACK", "%s", on_alt(small) ? "alternate" : "not the program's alternate");
}

static void nested(int sig)
{
    char local[2048];
    memset(local, depth, sizeof local);
    if (++depth < 20)
        raise(sig);
    deepest = depth > deepest ? depth : deepest;
    for (size_t i = 0; i < sizeof local; i++)
        must(local[i] == local[0], "stack overwritten");
}

static void leap(int sig)
{
    (void)sig;
    siglongjmp(jump, 1);
}

static void set(int flags, void (*fn)(int))
{
    struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };
    must(sigaction(SIGUSR1, &sa, NULL) == 0, "sigaction");
}

static void round_of(const char *name)
{
    char b[8];
    show("round", "%s", name);
    set(0, where);
    raise(SIGUSR1);
    set(SA_NODEFER, nested);
    depth = 0;
    raise(SIGUSR1);
    show("nested", "%d", depth);
    set(0, leap);
    for (volatile int i = 0; i < 50; i++)
        if (sigsetjmp(jump, 1) == 0)
            raise(SIGUSR1);
    set(0, where);
    must(write(peer, "x", 1) == 1, "write");
    result("read", read(fd, b, 1));
}

int main(void)
{
    char here;
    base = &here;
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    round_of("no alternate stack of the program's");
    raise(SIGUSR1);
    stack_t st = { .ss_sp = alt, .ss_size = sizeof alt };
    must(sigaltstack(&st, NULL) == 0, "sigaltstack");
    round_of("with one");
    set(SA_ONSTACK, where_alt);
    raise(SIGUSR1);
    return 0;
}
