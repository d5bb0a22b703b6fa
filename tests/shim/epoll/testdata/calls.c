/* poll, select, signals, time-outs. */
#include "rig.h"

static void polled(struct pollfd *p, int n, int ms)
{
    int r = poll(p, (nfds_t)n, ms);
    if (r < 0) {
        say("  poll: %s", strerrorname_np(errno));
        return;
    }
    printf("  poll %d:", r);
    for (int i = 0; i < n; i++)
        printf(" [%s]", bits((uint16_t)p[i].revents));
    putchar('\n');
}

static void polls(void)
{
    struct pair p = pair(), q = pair();
    int pipes[2];
    (void)!pipe(pipes);
    struct pollfd f[5] = { { .fd = p.srv, .events = POLLIN }, { .fd = pipes[0], .events = POLLIN }, { .fd = -1, .events = POLLIN },
                           { .fd = q.srv, .events = POLLIN | POLLOUT }, { .fd = 999, .events = POLLIN } };
    polled(f, 4, 0);
    polled(f, 5, 0);
    polled(f, 2, 10);
    put(p.cli, "x");
    polled(f, 2, -1);
    polled(f, 4, 0);
    (void)!write(pipes[1], "y", 1);
    polled(f, 2, -1);
    get(p.srv);
    polled(f, 2, -1);
    f[0].events = 0;
    polled(f, 1, 0);
    close(p.cli);
    settle();
    polled(f, 1, 0);
    f[0].events = POLLIN | POLLRDHUP | POLLRDNORM;
    polled(f, 1, -1);
    f[1] = f[0];
    polled(f, 2, -1);
    rst(q.cli);
    polled(f + 3, 1, -1);
    struct pollfd many[300];
    for (int i = 0; i < 300; i++)
        many[i] = (struct pollfd){ .fd = i % 3 ? -1 : p.srv, .events = POLLOUT };
    say("  many: %d", poll(many, 300, 0));
}

static void selected(int n, fd_set *r, fd_set *w, fd_set *e, int ms, const int *fds, int count)
{
    struct timeval t = { .tv_usec = ms * 1000 };
    int got = select(n, r, w, e, ms < 0 ? NULL : &t);
    if (got < 0) {
        say("  select: %s", strerrorname_np(errno));
        return;
    }
    printf("  select %d:", got);
    for (int i = 0; i < count; i++)
        printf(" %s%s%s.", r && FD_ISSET(fds[i], r) ? "r" : "", w && FD_ISSET(fds[i], w) ? "w" : "", e && FD_ISSET(fds[i], e) ? "e" : "");
    printf("%s\n", ms > 0 && t.tv_usec == ms * 1000 ? " time untouched" : "");
}

static void selects(void)
{
    struct pair p = pair();
    int pipes[2];
    (void)!pipe(pipes);
    int fds[2] = { p.srv, pipes[0] };
    fd_set r, w, e;
#define SETS()                                 \
    do {                                       \
        memset(&r, 0, sizeof r);               \
        w = e = r;                             \
        FD_SET(p.srv, &r), FD_SET(pipes[0], &r); \
    } while (0)
    SETS();
    selected(64, &r, NULL, NULL, 10, fds, 2);
    SETS();
    FD_SET(p.srv, &w), FD_SET(p.srv, &e);
    selected(64, &r, &w, &e, -1, fds, 2);
    put(p.cli, "x");
    SETS();
    selected(64, &r, NULL, NULL, -1, fds, 2);
    (void)!write(pipes[1], "y", 1);
    SETS();
    selected(64, &r, NULL, NULL, 10, fds, 2);
    SETS();
    FD_SET(60, &r);
    selected(61, &r, NULL, NULL, 0, fds, 2);
    SETS();
    selected(p.srv, &r, NULL, NULL, 0, fds, 1); /* below n only */
    SETS();
    selected(-1, &r, NULL, NULL, 0, fds, 0);
    send(p.cli, "!", 1, MSG_OOB);
    settle();
    FD_ZERO(&e);
    FD_SET(p.srv, &e);
    selected(64, NULL, NULL, &e, 0, fds, 1);
    close(p.cli);
    settle();
    get(p.srv);
    FD_ZERO(&w);
    FD_SET(p.srv, &w);
    selected(64, NULL, &w, NULL, 0, fds, 1);
    FD_ZERO(&e);
    FD_SET(p.srv, &e);
    shutdown(p.srv, SHUT_WR);
    selected(64, NULL, NULL, &e, 20, fds, 1);
}

static void high_select(void)
{
    struct pair p = pair();
    int fd = fcntl(p.srv, F_DUPFD, 1100);
    if (fd < 0) {
        say("no descriptor that high");
        return;
    }
    unsigned long set[32] = { 0 };
    put(p.cli, "x");
    set[fd / 64] |= 1ul << fd % 64;
    say("select %d, bit %lu", select(fd + 1, (fd_set *)set, NULL, NULL, NULL), set[fd / 64] >> fd % 64 & 1);
}

static volatile sig_atomic_t rang;
static void ring(int sig) { rang += sig == SIGALRM || sig == SIGUSR1; }

static void alarm_in(int ms, int flags)
{
    struct sigaction sa = { .sa_handler = ring, .sa_flags = flags };
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval t = { .it_value.tv_usec = ms * 1000 };
    rang = 0;
    setitimer(ITIMER_REAL, &t, NULL);
}

static void interrupted(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    char c;
    add(ep, p.srv, EPOLLIN, 'a');
    alarm_in(30, SA_RESTART);
    show(ep, -1);
    say("  rang %d", rang);
    struct pollfd f = { .fd = p.srv, .events = POLLIN };
    alarm_in(30, SA_RESTART);
    polled(&f, 1, -1);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p.srv, &r);
    alarm_in(30, 0);
    selected(64, &r, NULL, NULL, -1, &p.srv, 1);
    fcntl(p.srv, F_SETFL, 0);
    alarm_in(30, 0);
    say("  read: %zd %s, rang %d", read(p.srv, &c, 1), strerrorname_np(errno), rang);
    struct timeval tv = { .tv_sec = 5 };
    setsockopt(p.srv, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    alarm_in(30, SA_RESTART);
    say("  read: %zd %s, rang %d", read(p.srv, &c, 1), strerrorname_np(errno), rang);
    tv = (struct timeval){ .tv_usec = 30000 };
    setsockopt(p.srv, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    say("  read: %zd %s", read(p.srv, &c, 1), strerrorname_np(errno));
}

static void *later(void *arg)
{
    usleep(60000);
    (void)!write(*(int *)arg, "late", 4);
    return NULL;
}

static void restarted(void)
{
    struct pair p = pair();
    char buf[8] = { 0 };
    pthread_t t;
    fcntl(p.srv, F_SETFL, 0);
    pthread_sigmask(SIG_BLOCK, &(sigset_t){ { 1ul << (SIGALRM - 1) } }, NULL); /* the alarm is for this thread */
    pthread_create(&t, NULL, later, &p.cli);
    pthread_sigmask(SIG_UNBLOCK, &(sigset_t){ { 1ul << (SIGALRM - 1) } }, NULL);
    alarm_in(20, SA_RESTART);
    say("read %zd \"%s\", rang %d", read(p.srv, buf, 7), buf, rang);
    pthread_join(t, NULL);
}

static void masked(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    struct epoll_event ev[4];
    struct pollfd f = { .fd = p.srv, .events = POLLIN };
    struct timespec none = { 0 };
    sigset_t usr, open;
    struct sigaction sa = { .sa_handler = ring };
    sigaction(SIGUSR1, &sa, NULL);
    sigemptyset(&open);
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr, NULL);
    add(ep, p.srv, EPOLLIN, 'a');
    rang = 0;
    raise(SIGUSR1);
    show(ep, 0);
    say("rang %d", rang);
    SAY_ERR(epoll_pwait(ep, ev, 4, -1, &open));
    say("rang %d", rang);
    raise(SIGUSR1);
    SAY_ERR(ppoll(&f, 1, NULL, &open));
    say("rang %d", rang);
    raise(SIGUSR1);
    SAY_ERR(ppoll(&f, 1, &none, &open));
    say("rang %d", rang);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p.srv, &r);
    raise(SIGUSR1);
    SAY_ERR(pselect(64, &r, NULL, NULL, NULL, &open));
    say("rang %d", rang);
    put(p.cli, "x");
    raise(SIGUSR1);
    say("ready first: %d, rang %d", epoll_pwait(ep, ev, 4, -1, &open), rang);
    say("ready first: %d, rang %d", ppoll(&f, 1, NULL, &open), rang);
    struct timespec bad = { .tv_nsec = 2000000000 };
    SAY_ERR(ppoll(&f, 1, &bad, NULL));
    SAY_ERR(epoll_pwait2(ep, ev, 4, &bad, NULL));
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("still blocked: %d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGTERM));
}

static sigjmp_buf out;
static void jump(int sig)
{
    (void)sig;
    siglongjmp(out, 1);
}

static void jumps(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    struct pollfd f = { .fd = p.srv, .events = POLLIN };
    add(ep, p.srv, EPOLLIN, 'a');
    signal(SIGALRM, jump);
    struct itimerval t = { .it_value.tv_usec = 20000 };
    for (volatile int i = 0; i < 4; i++)
        if (sigsetjmp(out, 1) == 0) {
            setitimer(ITIMER_REAL, &t, NULL);
            if (i % 2)
                poll(&f, 1, -1);
            else
                show(ep, -1);
        } else {
            say("jumped %d", i);
        }
    put(p.cli, "x");
    show(ep, -1);
    polled(&f, 1, -1);
}

static void timeouts(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, EPOLLIN, 'a');
    struct timespec t0, t1, t = { .tv_nsec = 50000000 };
    struct epoll_event ev;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    show(ep, 50);
    SAY_ERR(epoll_pwait2(ep, &ev, 1, &t, NULL));
    clock_gettime(CLOCK_MONOTONIC, &t1);
    say("at least 100 ms: %d", (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 >= 100);
}

const struct scenario calls[] = {
    { "polls", polls }, { "selects", selects }, { "high_select", high_select }, { "interrupted", interrupted }, { "restarted", restarted },
    { "masked", masked }, { "jumps", jumps }, { "timeouts", timeouts }, { 0 },
};
