/* No edge twice, none lost; all kinds of descriptors in one set; sets that are waited for by poll. */
#include "rig.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>

#define ROUNDS 500

static int drained(int fd)
{
    char buf[64];
    int n = 0;
    for (ssize_t r; (r = read(fd, buf, sizeof buf)) > 0;)
        n += (int)r;
    return n;
}

/* Each message is sent after the last one was read: one edge for each, and none besides. */
static void counted(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0), edges = 0, octets = 0;
    struct epoll_event ev[4];
    add(ep, p.srv, EPOLLIN | EPOLLET, 'a');
    for (int i = 0; i < ROUNDS; i++) {
        (void)!write(p.cli, "message", 7);
        for (int got = 0; got < 7;) {
            edges += epoll_wait(ep, ev, 4, 15000);
            got += drained(p.srv);
            octets += got;
        }
    }
    say("edges %d, octets %d", edges, octets);
    show(ep, 50);
}

struct shared_set {
    int ep, srv, stop;
    _Atomic int edges, octets, both;
    _Atomic int inside;
};

static void *edge_thread(void *arg)
{
    struct shared_set *s = arg;
    struct epoll_event ev;
    while (epoll_wait(s->ep, &ev, 1, 15000) == 1 && ev.data.u64 != 's') {
        s->both += s->inside++ > 0;
        s->edges++;
        int n = drained(s->srv);
        s->inside--;
        s->octets += n;
    }
    return NULL;
}

/* Three threads wait for one set: each edge is for one of them. */
static void counted_by_threads(void)
{
    struct pair p = pair();
    struct shared_set s = { .ep = epoll_create1(0), .srv = p.srv, .stop = eventfd(0, 0) };
    pthread_t t[3];
    add(s.ep, p.srv, EPOLLIN | EPOLLET, 'a');
    add(s.ep, s.stop, EPOLLIN, 's');
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, edge_thread, &s);
    for (int i = 0; i < ROUNDS; i++) {
        (void)!write(p.cli, "message", 7);
        for (int k = 0; k < 15000 && (s.octets < 7 * (i + 1) || s.inside); k++)
            usleep(k < 100 ? 50 : 1000);
    }
    eventfd_write(s.stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    say("edges %d, octets %d, at once %d", s.edges, s.octets, s.both);
}

static void *flood(void *arg)
{
    static char block[3000];
    for (int i = 0; i < 2000; i++) {
        (void)!write(*(int *)arg, block, 1 + (size_t)(i * 7919) % sizeof block);
        if (i % 5 == 0)
            usleep((unsigned)(i * 31) % 150);
    }
    shutdown(*(int *)arg, SHUT_WR);
    return NULL;
}

/* Streams in bursts, read until there is nothing: were an edge lost, this would stand still. */
static void none_lost(void)
{
    struct pair p[4];
    pthread_t t[4];
    int ep = epoll_create1(0), ended = 0, quiet = 0;
    struct epoll_event ev[4];
    for (int i = 0; i < 4; i++) {
        p[i] = pair();
        add(ep, p[i].srv, EPOLLIN | EPOLLRDHUP | EPOLLET, (uint64_t)i);
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, flood, &p[i].cli);
    while (ended < 4 && !quiet) {
        int n = epoll_wait(ep, ev, 4, 15000);
        quiet = n == 0;
        for (int i = 0; i < n; i++) {
            char buf[1024];
            ssize_t r;
            while ((r = read(p[ev[i].data.u64].srv, buf, sizeof buf)) > 0)
                ;
            if (r == 0)
                ended++, del(ep, p[ev[i].data.u64].srv);
        }
    }
    for (int i = 0; i < 4; i++) {
        close(p[i].srv);
        pthread_join(t[i], NULL);
    }
    say("ended %d, stood still %d", ended, quiet);
}

static void all_kinds(void)
{
    struct pair p = pair(), q = pair();
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr, NULL);
    int ep = epoll_create1(0), pipes[2], e = eventfd(0, EFD_NONBLOCK), s = signalfd(-1, &usr, 0), t = timerfd_create(CLOCK_MONOTONIC, 0), sp[2];
    (void)!pipe(pipes), socketpair(AF_UNIX, SOCK_STREAM, 0, sp);
    int fds[] = { p.srv, pipes[0], e, s, t, sp[0], q.srv };
    for (int i = 0; i < 7; i++)
        SAY_ERR(add(ep, fds[i], EPOLLIN, (uint64_t)('a' + i)));
    show(ep, 0);
    (void)!write(pipes[1], "x", 1), eventfd_write(e, 3), raise(SIGUSR2), (void)!write(sp[1], "y", 1);
    struct itimerspec at = { .it_value.tv_nsec = 1 };
    timerfd_settime(t, 0, &at, NULL);
    put(p.cli, "data"), put(q.cli, "data");
    show(ep, -1);
    show_max(ep, 1, 14); /* everybody's turn comes */
    show_max(ep, 3, 6);
    for (int i = 1; i < 6; i++) {
        char buf[256];
        say("  %c: %zd", 'a' + i, read(fds[i], buf, sizeof buf));
    }
    show(ep, 0);
    get(p.srv), get(q.srv);
    show(ep, 0);
    at.it_value.tv_nsec = 30000000;
    timerfd_settime(t, 0, &at, NULL);
    show(ep, -1); /* the kernel's wake a set that holds ours */
}

static void ends_unasked(void)
{
    struct pair p = pair(), q = pair(), r = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, 0, 'p'), add(ep, q.srv, EPOLLET, 'q'), add(ep, r.srv, EPOLLRDHUP, 'r');
    shutdown(p.cli, SHUT_WR), shutdown(q.cli, SHUT_WR), shutdown(r.cli, SHUT_WR);
    settle();
    show(ep, 0); /* the peer's end alone is no HUP */
    shutdown(p.srv, SHUT_RDWR), shutdown(q.srv, SHUT_RDWR);
    settle();
    show(ep, -1);
    show(ep, 0); /* a HUP is a level, and an edge but once */
    rst(r.cli);
    show(ep, -1);
    if (!getenv("SLT_PEER_NS"))
        return; /* the stand-in does not know what follows */
    int err = 0;
    socklen_t n = sizeof err;
    getsockopt(r.srv, SOL_SOCKET, SO_ERROR, &err, &n);
    say("error %s", strerrorname_np(err));
    show(ep, 0);
}

static void *late(void *arg)
{
    usleep(50000);
    (void)!write(*(int *)arg, "late", 4);
    return NULL;
}

/* A set that holds a connection, waited for by poll, select and another set, from before the data comes. */
static void waited_for(void)
{
    struct pair p = pair();
    int inner = epoll_create1(0), outer = epoll_create1(0);
    struct pollfd f = { .fd = inner, .events = POLLIN };
    pthread_t t;
    add(inner, p.srv, EPOLLIN, 'a'), add(outer, inner, EPOLLIN | EPOLLET, 'i');
    for (int how = 0; how < 3; how++) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(inner, &set);
        pthread_create(&t, NULL, late, &p.cli);
        if (how == 0)
            say("poll %d", poll(&f, 1, 15000));
        else if (how == 1)
            say("select %d", select(inner + 1, &set, NULL, NULL, NULL));
        else
            show(outer, 15000);
        pthread_join(t, NULL);
        settle();
        get(p.srv);
        say("poll %d", poll(&f, 1, 0));
    }
    mod(outer, inner, EPOLLIN, 'i');
    put(p.cli, "x");
    show(outer, -1);
    show(outer, 0);
    get(p.srv);
    show(outer, 0); /* nobody asked the inner set in between */
}

static void *close_soon(void *arg)
{
    usleep(50000);
    close(*(int *)arg);
    return NULL;
}

/* Closed while another thread waits for its set, its duplicate alive: the entry lives on. */
static void closed_in_a_set(void)
{
    struct pair p = pair(), q = pair();
    int ep = epoll_create1(0), d = dup(p.srv), gone = q.srv;
    pthread_t t, u;
    add(ep, p.srv, EPOLLIN, 'a'), add(ep, q.srv, EPOLLIN, 'q');
    pthread_create(&t, NULL, close_soon, &p.srv);
    show(ep, 100);
    pthread_join(t, NULL);
    put(p.cli, "x");
    show(ep, -1);
    SAY_ERR(mod(ep, p.srv, 0, 'a'));
    get(d);
    close(d);
    pthread_create(&t, NULL, close_soon, &gone);
    show(ep, 100); /* whose end nobody is told of */
    pthread_join(t, NULL);
    int other = eventfd(0, 0);
    say("number again %d", other == p.srv || other == q.srv || other == d);
    SAY_ERR(add(ep, other, EPOLLIN, 'o')); /* the number is another's now */
    pthread_create(&u, NULL, late, &q.cli);
    pthread_join(u, NULL);
    show(ep, 50);
}

const struct scenario edges[] = {
    { "counted", counted }, { "counted_by_threads", counted_by_threads }, { "none_lost", none_lost }, { "all_kinds", all_kinds },
    { "ends_unasked", ends_unasked }, { "waited_for", waited_for }, { "closed_in_a_set", closed_in_a_set }, { 0 },
};
