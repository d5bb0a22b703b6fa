/* Several threads on one set, one socket. */
#include "rig.h"

struct waiting {
    int ep;
    pthread_t thread;
};

static void *wait_one(void *arg)
{
    show(((struct waiting *)arg)->ep, 5000);
    return NULL;
}

static struct waiting *waiter(int ep)
{
    struct waiting *w = malloc(sizeof *w);
    w->ep = ep;
    pthread_create(&w->thread, NULL, wait_one, w);
    usleep(30000);
    return w;
}

static void join(struct waiting *w)
{
    pthread_join(w->thread, NULL);
    free(w);
}

static void add_while_waiting(void)
{
    struct pair p = pair(), q = pair(), r = pair();
    int ep = epoll_create1(0);
    struct waiting *w = waiter(ep);
    put(p.cli, "x");
    add(ep, p.srv, EPOLLIN, 'a'); /* ready when added, to a set that had nothing */
    join(w);
    del(ep, p.srv);
    int pipes[2];
    (void)!pipe(pipes);
    add(ep, pipes[0], EPOLLIN, 'p');
    w = waiter(ep);
    add(ep, q.srv, EPOLLIN, 'q');
    put(q.cli, "y"); /* gets ready after it was added */
    join(w);
    del(ep, q.srv);
    add(ep, r.srv, EPOLLIN, 'r');
    w = waiter(ep);
    (void)!write(pipes[1], "z", 1);
    join(w);
    (void)!read(pipes[0], (char[1]){ 0 }, 1);
    w = waiter(ep);
    mod(ep, r.srv, EPOLLIN | EPOLLOUT, 's');
    join(w);
}

static void close_while_waiting(void)
{
    struct pair p = pair(), q = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, EPOLLIN, 'a');
    add(ep, q.srv, EPOLLIN, 'q');
    struct waiting *w = waiter(ep);
    close(p.srv);
    put(q.cli, "x");
    join(w);
    w = waiter(epoll_create1(0));
    close(w->ep == -1 ? -1 : p.cli);
    pthread_cancel(w->thread);
    pthread_join(w->thread, NULL);
}

static _Atomic int total;
static void *drain(void *arg)
{
    int ep = *(int *)arg;
    struct epoll_event ev;
    char buf[64];
    while (epoll_wait(ep, &ev, 1, 5000) == 1) {
        if (ev.data.u64 >> 32)
            break;
        ssize_t n;
        while ((n = read((int)ev.data.u64, buf, sizeof buf)) > 0)
            total += (int)n;
        mod(ep, (int)ev.data.u64, EPOLLIN | EPOLLONESHOT, ev.data.u64);
    }
    return NULL;
}

/* Four threads, eight connections, one-shot items: every byte is read, nobody sleeps through one. */
static void pool(void)
{
    int ep = epoll_create1(0), stop[2];
    pthread_t t[4];
    struct pair p[8];
    (void)!pipe(stop);
    for (int i = 0; i < 8; i++) {
        p[i] = pair();
        add(ep, p[i].srv, EPOLLIN | EPOLLONESHOT, (uint64_t)p[i].srv);
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, drain, &ep);
    for (int i = 0; i < 2000; i++) {
        (void)!write(p[i % 8].cli, "0123456789", 10);
        if (i % 50 == 0)
            usleep(500);
    }
    for (int i = 0; i < 15000 && total < 20000; i++)
        usleep(1000);
    say("read %d", total);
    add(ep, stop[0], EPOLLIN, 1ull << 32);
    (void)!write(stop[1], "x", 1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

static void *echo(void *arg)
{
    char buf[64];
    ssize_t n;
    int fd = (int)(intptr_t)arg;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        (void)!write(fd, buf, (size_t)n);
    close(fd);
    return NULL;
}

/* A thread blocked in read for each connection; the main thread is blocked in accept. */
static void *server(void *arg)
{
    int l = (int)(intptr_t)arg;
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        int fd = accept(l, NULL, NULL);
        pthread_create(&t[i], NULL, echo, (void *)(intptr_t)fd);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    return NULL;
}

static void blocking(void)
{
    int l = listener(), c[6], good = 0;
    pthread_t t;
    char buf[8];
    fcntl(l, F_SETFL, 0);
    pthread_create(&t, NULL, server, (void *)(intptr_t)l);
    usleep(20000);
    for (int i = 0; i < 6; i++)
        c[i] = dial(l, i % 3 == 2);
    for (int round = 0; round < 300; round++) {
        int k = round % 6;
        (void)!write(c[k], "ping", 4);
        good += read(c[k], buf, sizeof buf) == 4;
    }
    for (int i = 0; i < 6; i++)
        close(c[i]);
    pthread_join(t, NULL);
    say("good %d", good);
}

static void *in_read(void *arg)
{
    char c;
    (void)!read(*(int *)arg, &c, 1);
    return NULL;
}

static void *in_poll(void *arg)
{
    struct pollfd f = { .fd = *(int *)arg, .events = POLLIN };
    poll(&f, 1, -1);
    return NULL;
}

/* in_read_late is cancelled before it reads, and learns of it there. */
static _Atomic int late;
static void *in_read_late(void *fd)
{
    int was;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &was);
    while (!late)
        usleep(1000);
    pthread_setcancelstate(was, &was);
    return in_read(fd);
}

static void cancels(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    void *(*const calls[])(void *) = { in_read, in_poll, in_read_late };
    add(ep, p.srv, EPOLLIN, 'a');
    fcntl(p.srv, F_SETFL, 0);
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        void *end;
        pthread_create(&t, NULL, calls[i], &p.srv);
        usleep(20000);
        pthread_cancel(t);
        late = i == 2;
        pthread_join(t, &end);
        say("cancelled: %d", end == PTHREAD_CANCELED);
    }
    struct waiting *w = waiter(ep);
    pthread_cancel(w->thread);
    join(w);
    put(p.cli, "x");
    show(ep, -1);
    get(p.srv);
    close(p.srv); /* nothing holds the connection any more: the peer sees the end */
    get(p.cli);
}

static void exclusive(void)
{
    struct pair p = pair();
    int one = epoll_create1(0), two = epoll_create1(0);
    add(one, p.srv, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 'a');
    add(two, p.srv, EPOLLIN | EPOLLET, 'b');
    struct waiting *w = waiter(two);
    put(p.cli, "x");
    join(w);
    show(one, 0);
}

const struct scenario threads[] = {
    { "add_while_waiting", add_while_waiting }, { "close_while_waiting", close_while_waiting }, { "pool", pool }, { "blocking", blocking },
    { "cancels", cancels }, { "exclusive", exclusive }, { 0 },
};
