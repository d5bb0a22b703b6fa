// A program that never waits: it asks again and again, without a pause, until there is something.
#include "prog.h"

static int tries;

// SPIN asks until cond holds, for at most 15 seconds.
#define SPIN(cond)                                                            \
    do {                                                                      \
        time_t end_ = time(NULL) + 15;                                        \
        for (tries = 0; !(cond); tries++)                                     \
            must(tries % 1024 != 0 || time(NULL) < end_, "spun in vain: " #cond); \
    } while (0)

// later does something from another thread, when the program spins already.
static int peer;
static char big[1 << 20];

static void *say(void *s)
{
    nap(20);
    must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "write");
    return NULL;
}

static void *swallow(void *n)
{
    nap(20);
    for (size_t left = (size_t)n; left > 0;) {
        ssize_t r = recv(peer, big, left < sizeof big ? left : sizeof big, 0);
        must(r > 0, "swallow");
        left -= (size_t)r;
    }
    return NULL;
}

static int listening;
static void *come(void *fd)
{
    nap(20);
    must(dial_to(*(int *)fd, listening) == 0, "connect");
    return NULL;
}

static void later(void *(*fn)(void *), void *arg)
{
    static pthread_t t;
    static int running;
    if (running)
        pthread_join(t, NULL);
    running = fn != NULL;
    if (fn)
        must(pthread_create(&t, NULL, fn, arg) == 0, "thread");
}

int main(void)
{
    char b[64] = "";
    int l = listener(AF_INET, &listening), have = 0;
    int fd = pair(l, listening, &peer);
    later(say, "one");
    SPIN(recv(fd, b, sizeof b, MSG_DONTWAIT) == 3 || (errno != EAGAIN && (must(0, "recv"), 0)));
    show("recv", "%s", b);
    later(say, "four");
    SPIN(ioctl(fd, FIONREAD, &have) == 0 && have == 4);
    result("read", read(fd, b, sizeof b));

    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    size_t sent = 0;
    for (ssize_t r; (r = write(fd, big, sizeof big)) > 0;)
        sent += (size_t)r;
    show("full", "%s", strerrorname_np(errno));
    later(swallow, (void *)(sent + sizeof big));
    for (size_t left = sizeof big; left > 0;) {
        ssize_t r = -1;
        SPIN((r = write(fd, big, left)) > 0 || (errno != EAGAIN && (must(0, "write"), 0)));
        left -= (size_t)r;
    }
    later(NULL, NULL);

    int next = -1, caller = peer_socket();
    fcntl(l, F_SETFL, fcntl(l, F_GETFL) | O_NONBLOCK);
    later(come, &caller);
    SPIN((next = accept(l, NULL, NULL)) >= 0 || (errno != EAGAIN && (must(0, "accept"), 0)));
    later(NULL, NULL);
    must(write(caller, "hello", 5) == 5, "write");
    SPIN(recv(next, b, sizeof b, MSG_DONTWAIT) == 5);
    show("accepted says", "%.5s", b);
    return 0;
}
