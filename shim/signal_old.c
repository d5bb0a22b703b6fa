// The older ways to say sigaction, in its terms.
#include <errno.h>

#include "real.h"

static sigset_t interrupting; // signals for which siginterrupt asked

static sighandler_t set(int sig, sighandler_t h, int flags)
{
    struct sigaction sa = { .sa_handler = h, .sa_flags = flags }, old;
    if (h == SIG_ERR || sig < 1 || sig >= NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&sa.sa_mask);
    if (flags & SA_RESTART || flags == 0)
        sigaddset(&sa.sa_mask, sig);
    return sigaction(sig, &sa, &old) < 0 ? SIG_ERR : old.sa_handler;
}

INTERPOSE sighandler_t signal(int sig, sighandler_t h)
{
    return set(sig, h, sig > 0 && sig < NSIG && sigismember(&interrupting, sig) == 1 ? 0 : SA_RESTART);
}
INTERPOSE sighandler_t bsd_signal(int sig, sighandler_t h) { return signal(sig, h); }
INTERPOSE sighandler_t ssignal(int sig, sighandler_t h) { return signal(sig, h); }

INTERPOSE sighandler_t __sysv_signal(int sig, sighandler_t h) { return set(sig, h, (int)(SA_RESETHAND | SA_NODEFER)); }
INTERPOSE sighandler_t sysv_signal(int sig, sighandler_t h) { return __sysv_signal(sig, h); }

INTERPOSE int siginterrupt(int sig, int on)
{
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) < 0)
        return -1;
    if (on) {
        sigaddset(&interrupting, sig);
        sa.sa_flags &= ~SA_RESTART;
    } else {
        sigdelset(&interrupting, sig);
        sa.sa_flags |= SA_RESTART;
    }
    return sigaction(sig, &sa, NULL);
}

INTERPOSE int sigignore(int sig)
{
    struct sigaction sa = { .sa_handler = SIG_IGN };
    return sigaction(sig, &sa, NULL);
}

INTERPOSE sighandler_t sigset(int sig, sighandler_t h)
{
    sigset_t set, was;
    struct sigaction sa = { .sa_handler = h }, old;
    if (h == SIG_ERR || sig < 1 || sig >= NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&set);
    sigaddset(&set, sig);
    if (h == SIG_HOLD) {
        if (sigprocmask(SIG_BLOCK, &set, &was) < 0 || sigaction(sig, NULL, &old) < 0)
            return SIG_ERR;
    } else if (sigaction(sig, &sa, &old) < 0 || sigprocmask(SIG_UNBLOCK, &set, &was) < 0) {
        return SIG_ERR;
    }
    return sigismember(&was, sig) ? SIG_HOLD : old.sa_handler;
}
