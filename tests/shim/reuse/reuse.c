// Threads that accept, connect, duplicate and close as fast as they can, on descriptor numbers that are free for a moment only: what one
// lets go of, another has. Each works with connections, pipes and files of its own, and knows what has to come from them; meddlers beside
// them look at any number, whosever it is. No octet may come from where it does not belong.
//
//   reuse HOST PORT PEER-HOST PEER-PORT MILLISECONDS SEED
#include "tag.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define WORKERS 6
#define MEDDLERS 2
#define NUMBERS 48 // that are looked at by meddlers

static struct sockaddr_in own, peer;
static int listening;
static _Atomic bool over;
static _Atomic uint64_t ids = 1;
static _Atomic long wrong, connections, exchanges, glances;
static unsigned seed;

static _Thread_local uint64_t dice;

static unsigned roll(unsigned n)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % n;
}

// stir lets others go first, at places where it hurts.
static void stir(void)
{
    struct timespec t = { 0, (long)roll(200) * 1000 };
    unsigned how = roll(16);
    if (how < 5)
        sched_yield();
    else if (how == 5)
        nanosleep(&t, NULL);
}

static void fault(const char *what, int fd, const struct record *r, ssize_t n)
{
    if (atomic_fetch_add(&wrong, 1) < 20)
        printf("%s: descriptor %d, %zd %s, connection %llx, record %u\n", what, fd, n, n < 0 ? strerrorname_np(errno) : "octets",
               (unsigned long long)r->id, r->seq);
}

// exchange sends n records and reads them back. False: that was the last one.
static bool exchange(int fd, uint64_t id, uint32_t seq, int n)
{
    struct record out[RECORDS], in[RECORDS];
    size_t want = (size_t)n * sizeof *out, got = 0;
    fill(out, n, id, seq);
    ssize_t r = roll(2) ? send(fd, out, want, MSG_NOSIGNAL) : write(fd, out, want);
    if (r != (ssize_t)want) {
        fault("send", fd, out, r);
        return false;
    }
    stir();
    memset(in, 0, sizeof in);
    while (got < want) {
        r = roll(2) ? recv(fd, (char *)in + got, want - got, 0) : read(fd, (char *)in + got, want - got);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    if (got != want || memcmp(in, out, want) != 0) {
        fault(r < 0 ? "receive" : got != want ? "short" : "not mine", fd, got ? in : out, r);
        return false;
    }
    exchanges++;
    return true;
}

// move makes another number of fd, in one of several ways, and closes fd.
static int move(int fd)
{
    int to = -1, p[2];
    switch (roll(4)) {
    case 0:
        to = dup(fd);
        break;
    case 1:
        to = fcntl(fd, F_DUPFD, (int)roll(NUMBERS));
        break;
    case 2: // onto a number that was something else
        if (pipe(p) == 0)
            to = dup2(fd, p[0]), close(p[1]);
        break;
    default:
        if ((to = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0)
            to = dup3(fd, to, O_CLOEXEC);
    }
    stir();
    if (to < 0)
        return fd;
    close(fd);
    return to;
}

// talk uses a connection to its end.
static void talk(int fd)
{
    uint64_t id = ids++;
    uint32_t seq = 0;
    int one = 1;
    struct timeval limit = { 20, 0 }; // what does not come until then is lost
    struct linger reset = { 1, 0 };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    connections++;
    for (unsigned left = 1 + roll(12); left > 0; left--) {
        int n = 1 + (int)roll(RECORDS);
        if (!exchange(fd, id, seq, n))
            break;
        seq += (uint32_t)n;
        if (roll(3) == 0)
            fd = move(fd);
        stir();
    }
    if (roll(8) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else if (roll(8) == 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

// another has numbers for things of the kernel's.
static void another(void)
{
    char c = (char)roll(256), d = 0;
    int p[2], null;
    struct record none = { 0 };
    if (pipe(p) < 0)
        return;
    null = open("/dev/zero", O_RDWR);
    stir();
    ssize_t r = write(p[1], &c, 1) == 1 ? read(p[0], &d, 1) : -1;
    if (r != 1 || c != d)
        fault("a pipe", p[0], &none, r);
    d = 1;
    r = read(null, &d, 1);
    if (r != 1 || d != 0)
        fault("a file", null, &none, r);
    stir();
    close(null), close(p[0]), close(p[1]);
}

static void *worker(void *n)
{
    dice = seed * 1000003u + (uint64_t)(intptr_t)n;
    while (!over) {
        int fd;
        if (roll(4) == 0) {
            another();
        } else if (roll(2)) {
            struct pollfd p = { .fd = listening, .events = POLLIN };
            if (poll(&p, 1, 20) == 1 && (fd = accept4(listening, NULL, NULL, roll(2) ? SOCK_CLOEXEC : 0)) >= 0) {
                fcntl(fd, F_SETFL, 0);
                talk(fd);
            }
        } else if ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0) {
            if (connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0)
                talk(fd);
            else
                close(fd);
        }
    }
    return NULL;
}

// glance looks at a number without changing what it is. Were it a connection, what lies there is of one.
static void glance(int ep, int fd)
{
    struct record r[RECORDS] = { 0 };
    struct epoll_event ev[4] = { { .events = EPOLLIN | EPOLLET } };
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    int v;
    glances++;
    switch (roll(7)) {
    case 0: {
        ssize_t got = recv(fd, r, sizeof r, MSG_PEEK | MSG_DONTWAIT);
        if (got > 0 && !whole(r, got))
            fault("a glance", fd, r, got);
        break;
    }
    case 1:
        poll(&p, 1, (int)roll(3));
        break;
    case 2:
        ioctl(fd, FIONREAD, &v);
        break;
    case 3:
        getpeername(fd, (struct sockaddr *)&sa, &n);
        break;
    case 4:
        n = sizeof v;
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n);
        break;
    case 5:
        epoll_ctl(ep, roll(2) ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, ev);
        epoll_wait(ep, ev, 4, 0);
        break;
    default:
        v = dup(fd);
        stir();
        if (v >= 0)
            close(v);
    }
}

static void *meddler(void *n)
{
    dice = seed * 1000033u + (uint64_t)(intptr_t)n;
    int ep = fcntl(epoll_create1(0), F_DUPFD, 100);
    while (!over) {
        glance(ep, 3 + (int)roll(NUMBERS));
        stir();
    }
    close(ep);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[WORKERS + MEDDLERS];
    if (argc != 7)
        return 2;
    own = at(argv[1], argv[2]), peer = at(argv[3], argv[4]);
    seed = (unsigned)atoi(argv[6]);
    listening = fcntl(listen_at(&own), F_DUPFD, 100);
    fcntl(listening, F_SETFL, O_NONBLOCK);
    if (getenv("REUSE_FIRST")) { // the engine is loaded before there are threads: TSan, which reports meanwhile, waits for the loader for ever
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&peer, sizeof peer) == 0)
            close(fd);
    }
    for (intptr_t i = 0; i < WORKERS + MEDDLERS; i++)
        pthread_create(&t[i], NULL, i < WORKERS ? worker : meddler, (void *)i);
    long ms = atol(argv[5]);
    struct timespec length = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&length, &length) != 0)
        ;
    over = true;
    for (int i = 0; i < WORKERS + MEDDLERS; i++)
        pthread_join(t[i], NULL);
    printf("%ld wrong\n", wrong);
    fprintf(stderr, "%ld connections, %ld exchanges, %ld glances\n", connections, exchanges, glances);
    return wrong > 0;
}
