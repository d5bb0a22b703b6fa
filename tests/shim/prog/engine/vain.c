// One thread serves, and looks by itself all the time; another waits for what seldom comes. The second sleeps, though each packet could wake it, and
// still hears of what is for it, also while the first makes no call.
#include "../prog.h"
#include <sys/epoll.h>
#include <sys/syscall.h>

enum { ROUNDS = 4000, CALLS = 8 };

static int listening, l;
static _Atomic int waiter, accepted;
static char said[CALLS];

static void *wait_for_calls(void *arg)
{
    int ep = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLIN };
    waiter = (int)syscall(SYS_gettid);
    must(epoll_ctl(ep, EPOLL_CTL_ADD, l, &e) == 0, "add");
    while (accepted < CALLS) {
        must(epoll_wait(ep, &e, 1, -1) == 1, "epoll_wait");
        int fd = accept(l, NULL, NULL);
        must(fd >= 0 && read(fd, &said[accepted], 1) == 1, "accept");
        accepted++;
    }
    return arg;
}

// sleeps: how often the waiting thread has gone to sleep so far.
static long sleeps(void)
{
    char path[64], line[128];
    long n = -1;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", waiter);
    FILE *f = fopen(path, "re");
    while (f && n < 0 && fgets(line, sizeof line, f))
        sscanf(line, "voluntary_ctxt_switches: %ld", &n);
    must(n >= 0 && fclose(f) == 0, "status");
    return n;
}

static void *ask(void *arg)
{
    int peer = *(int *)arg;
    char b;
    for (int i = 0; i < ROUNDS; i++)
        must(write(peer, "?", 1) == 1 && recv(peer, &b, 1, MSG_WAITALL) == 1, "ask");
    return NULL;
}

static void serve(int fd, int peer)
{
    pthread_t t;
    char b;
    must(pthread_create(&t, NULL, ask, &peer) == 0, "thread");
    for (int i = 0; i < ROUNDS;) {
        ssize_t n = recv(fd, &b, 1, MSG_DONTWAIT);
        must(n == 1 || errno == EAGAIN, "recv");
        if (n == 1)
            must(write(fd, &b, 1) == 1, "answer"), i++;
    }
    pthread_join(t, NULL);
}

static void call(char c)
{
    int had = accepted, fd = dial(listening);
    must(write(fd, &c, 1) == 1, "say");
    UNTIL(accepted > had);
}

int main(void)
{
    int peer, fd;
    pthread_t t;
    l = listener(AF_INET, &listening);
    fd = pair(l, listening, &peer);
    must(pthread_create(&t, NULL, wait_for_calls, NULL) == 0, "thread");
    call('a'); // it waits, and was woken for itself
    for (int i = 1; i < CALLS; i++) {
        long before = sleeps();
        serve(fd, peer);
        long after = sleeps();
        if (after - before >= ROUNDS / 10)
            show("slept", "%ld times in %d rounds", after - before, ROUNDS);
        call((char)('a' + i)); // while this thread makes no call to look
    }
    pthread_join(t, NULL);
    show("calls", "%.*s", CALLS, said);
    return 0;
}
