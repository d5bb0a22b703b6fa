// Signals that arrive while a call waits.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" // sigset
#include "prog.h"

static int l, port, peer, fd;
static volatile sig_atomic_t ran;
static pthread_t main_thread;

static void count(int sig)
{
    (void)sig;
    ran++;
}

static void reader(int sig)
{
    char b[8];
    int err = errno;
    (void)sig;
    ran = (int)recv(fd, b, sizeof b, MSG_DONTWAIT);
    errno = err;
}

static void install(int flags, void (*fn)(int))
{
    struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };
    sigaction(SIGUSR1, &sa, NULL);
    ran = 0;
}

static void *poke(void *arg)
{
    nap(50);
    pthread_kill(main_thread, SIGUSR1);
    UNTIL(ran != 0);
    nap(30);
    if (arg)
        must(write(peer, arg, 1) == 1, "poke");
    return NULL;
}

static void with(const char *name, int flags, char *then, int waitall)
{
    char b[8];
    pthread_t t;
    install(flags, count);
    pthread_create(&t, NULL, poke, then);
    result(name, recv(fd, b, waitall ? 4 : 8, waitall ? MSG_WAITALL : 0));
    pthread_join(t, NULL);
    show("handlers", "%d", ran);
}

static void accepts(const char *name, int flags)
{
    pthread_t t;
    install(flags, count);
    pthread_create(&t, NULL, poke, NULL);
    result(name, accept(l, NULL, NULL));
    pthread_join(t, NULL);
}

int main(void)
{
    main_thread = pthread_self();
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    with("restart", SA_RESTART, "x", 0);
    with("interrupted", 0, NULL, 0);
    must(write(peer, "ab", 2) == 2, "write");
    with("part, restart", SA_RESTART, NULL, 1);
    struct timeval tv = { 20, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    with("time-out, restart", SA_RESTART, NULL, 0);
    tv.tv_sec = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    accepts("accept interrupted", 0);

    struct sigaction old;
    install(SA_RESTART | SA_SIGINFO | SA_NODEFER, count);
    sigaction(SIGUSR1, NULL, &old);
    show("old", "%d %x", old.sa_handler == count, (unsigned)old.sa_flags & ~0x04000000u);
    show("signal", "%d", signal(SIGUSR2, count) == SIG_DFL);
    show("signal", "%d", signal(SIGUSR2, SIG_IGN) == count);
    show("sigset", "%d", sigset(SIGUSR2, SIG_DFL) == SIG_IGN);
    result("kill", sigaction(SIGKILL, &old, NULL));
    result("prof", sigaction(SIGPROF, NULL, &old));
    show("prof", "%d %x", old.sa_handler == SIG_DFL, (unsigned)old.sa_flags);

    must(write(peer, "zz", 2) == 2, "write");
    int have = 0;
    UNTIL(ioctl(fd, FIONREAD, &have) == 0 && have == 2);
    install(0, reader);
    raise(SIGUSR1);
    show("read in handler", "%d", ran);
    struct sigaction once = { .sa_handler = count, .sa_flags = SA_RESETHAND };
    sigaction(SIGUSR1, &once, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    show("reset", "%d", old.sa_handler == SIG_DFL);
    return 0;
}
