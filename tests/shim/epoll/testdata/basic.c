/* epoll with one thread. */
#include "rig.h"

static void level(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    SAY_ERR(add(ep, p.srv, EPOLLIN, 'a'));
    show(ep, 0);
    put(p.cli, "one");
    show(ep, -1);
    show(ep, 0);
    get(p.srv);
    show(ep, 0);
    mod(ep, p.srv, EPOLLIN | EPOLLOUT, 'b');
    show(ep, 0);
    show(ep, 0);
    mod(ep, p.srv, 0, 'c');
    put(p.cli, "two");
    show(ep, 0);
    mod(ep, p.srv, EPOLLIN, 'd');
    show(ep, 0);
    SAY_ERR(del(ep, p.srv));
    show(ep, 0);
}

static void edge(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, EPOLLIN | EPOLLET, 'a');
    show(ep, 0);
    put(p.cli, "one");
    show(ep, -1);
    show(ep, 0);
    put(p.cli, "two");
    show(ep, 0);
    show(ep, 0);
    get(p.srv);
    show(ep, 0);
    put(p.cli, "three");
    mod(ep, p.srv, EPOLLIN | EPOLLOUT | EPOLLET, 'b');
    show(ep, 0);
    show(ep, 0);
    put(p.cli, "four");
    get(p.srv); /* the edge is there, the data is gone */
    show(ep, 0);
    show(ep, 0);
    mod(ep, p.srv, EPOLLOUT | EPOLLET, 'c');
    show(ep, 0);
    put(p.cli, "five");
    show(ep, 0);
}

static void oneshot(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, EPOLLIN | EPOLLONESHOT, 'a');
    put(p.cli, "one");
    show(ep, -1);
    show(ep, 0);
    put(p.cli, "two");
    show(ep, 0);
    mod(ep, p.srv, EPOLLIN | EPOLLONESHOT, 'b');
    show(ep, 0);
    close(p.cli);
    settle();
    show(ep, 0);
    mod(ep, p.srv, EPOLLIN | EPOLLONESHOT | EPOLLET | EPOLLRDHUP, 'c');
    show(ep, 0);
    show(ep, 0);
}

static void ends(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    add(ep, p.srv, EPOLLIN | EPOLLRDHUP | EPOLLET, 'a');
    shutdown(p.cli, SHUT_WR);
    settle();
    show(ep, -1);
    show(ep, 0);
    get(p.srv);
    shutdown(p.srv, SHUT_WR);
    settle();
    show(ep, 0);
    show(ep, 0);
    struct pair q = pair();
    add(ep, q.srv, 0, 'q');
    show(ep, 0);
    rst(q.cli);
    show(ep, -1);
    get(q.srv);
    show(ep, 0);
    struct pair r = pair();
    del(ep, q.srv);
    add(ep, r.srv, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 'r');
    put(r.cli, "rest");
    close(r.cli);
    settle();
    show(ep, 0);
    get(r.srv);
    show(ep, 0);
    get(r.srv);
}

static void write_space(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    static char block[65536];
    add(ep, p.srv, EPOLLOUT | EPOLLET, 'a');
    show(ep, 0);
    for (int i = 0; i < 20; i++, settle()) /* what the client takes by itself is taken */
        while (write(p.srv, block, sizeof block) > 0)
            i = 0;
    say("full: %s", strerrorname_np(errno));
    while (epoll_wait(ep, &(struct epoll_event){ 0 }, 1, 0) > 0) /* of the time before */
        ;
    show(ep, 0);
    fcntl(p.cli, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 60; i++) {
        while (read(p.cli, block, sizeof block) > 0)
            ;
        settle();
    }
    show(ep, 5000);
    show(ep, 0);
    mod(ep, p.srv, EPOLLOUT, 'b');
    show(ep, 0);
}

static void refusals(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    SAY_ERR(mod(ep, p.srv, EPOLLIN, 'a'));
    SAY_ERR(del(ep, p.srv));
    SAY_ERR(add(ep, p.srv, EPOLLIN, 'a'));
    SAY_ERR(add(ep, p.srv, EPOLLIN, 'a'));
    SAY_ERR(mod(ep, p.srv, EPOLLIN | EPOLLEXCLUSIVE, 'a'));
    SAY_ERR(del(ep, p.srv));
    SAY_ERR(add(ep, p.srv, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE, 'a'));
    SAY_ERR(add(ep, p.srv, EPOLLIN | EPOLLEXCLUSIVE, 'a'));
    SAY_ERR(mod(ep, p.srv, EPOLLIN, 'a'));
    SAY_ERR(epoll_ctl(ep, 77, p.srv, &(struct epoll_event){ 0 }));
    SAY_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, p.srv, NULL));
    SAY_ERR(add(p.cli, p.srv, EPOLLIN, 'a'));
    SAY_ERR(add(-1, p.srv, EPOLLIN, 'a'));
    SAY_ERR(add(ep, ep, EPOLLIN, 'a'));
    struct epoll_event ev[2];
    SAY_ERR(epoll_wait(ep, ev, 0, 0));
    volatile int negative = -1;
    SAY_ERR(epoll_wait(ep, ev, negative, 0));
    SAY_ERR(epoll_wait(p.srv, ev, 1, 0));
    SAY_ERR(epoll_wait(-1, ev, 1, 0));
    put(p.cli, "x");
    show(ep, -1);
}

static void duplicates(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0);
    int d = dup(p.srv);
    SAY_ERR(add(ep, p.srv, EPOLLIN, 'a'));
    SAY_ERR(add(ep, d, EPOLLIN, 'b'));
    put(p.cli, "x");
    show(ep, -1);
    close(p.srv); /* the file lives on in d: both items stay */
    show(ep, 0);
    SAY_ERR(del(ep, d));
    show(ep, 0);
    close(d);
    show(ep, 0);
    struct pair q = pair();
    int ep2 = dup(ep);
    add(ep2, q.srv, EPOLLIN, 'q');
    put(q.cli, "y");
    show(ep, -1);
    close(ep);
    show(ep2, 0);
    close(q.srv);
    show(ep2, 0);
}

static void two_sets(void)
{
    struct pair p = pair();
    int ep = epoll_create1(0), other = epoll_create1(0);
    add(ep, p.srv, EPOLLIN, 'a');
    add(other, p.srv, EPOLLIN | EPOLLET, 'b');
    put(p.cli, "x");
    show(ep, -1);
    show(other, 0);
    show(other, 0);
    show(ep, 0);
    close(other);
    show(ep, 0);
}

static void mixed(void)
{
    struct pair p = pair(), q = pair();
    int ep = epoll_create1(0), pipes[2], e = eventfd(0, EFD_NONBLOCK);
    (void)!pipe(pipes);
    add(ep, p.srv, EPOLLIN, 'a');
    add(ep, pipes[0], EPOLLIN, 'p');
    add(ep, e, EPOLLIN | EPOLLET, 'e');
    add(ep, q.srv, EPOLLIN | EPOLLET, 'q');
    show(ep, 10);
    put(p.cli, "x");
    put(q.cli, "y");
    (void)!write(pipes[1], "z", 1);
    eventfd_write(e, 1);
    show(ep, -1);
    show(ep, 0);
    show_max(ep, 1, 6);
    get(p.srv);
    show(ep, 0);
    close(pipes[1]);
    show(ep, 0);
}

static void rotation(void)
{
    int ep = epoll_create1(0), pipes[2];
    for (int i = 0; i < 5; i++) {
        struct pair p = pair();
        add(ep, p.srv, EPOLLOUT, (uint64_t)('a' + i));
    }
    (void)!pipe(pipes);
    add(ep, pipes[1], EPOLLOUT, 'p');
    show(ep, 0);
    show_max(ep, 1, 14);
    show_max(ep, 2, 8);
    show_max(ep, 4, 4);
}

static void listening(void)
{
    int l = listener(), ep = epoll_create1(0);
    SAY_ERR(add(ep, l, EPOLLIN, 'l'));
    show(ep, 0);
    int c = dial(l, false);
    show(ep, -1);
    show(ep, 0);
    int s = take(l);
    show(ep, 0);
    int k = dial(l, true);
    show(ep, -1);
    int d = dial(l, false);
    show(ep, 0); /* one event for both */
    close(take(l));
    close(take(l));
    show(ep, 0);
    mod(ep, l, EPOLLIN | EPOLLONESHOT, 'm');
    close(c), close(k), close(d), close(s);
    c = dial(l, false);
    show(ep, -1);
    k = dial(l, true);
    show(ep, 0);
    mod(ep, l, EPOLLIN | EPOLLET, 'n');
    show(ep, 0);
    show(ep, 0);
    close(take(l));
    d = dial(l, false);
    show(ep, -1);
    SAY_ERR(del(ep, l));
    show(ep, 0);
}

const struct scenario basic[] = {
    { "level", level }, { "edge", edge }, { "oneshot", oneshot }, { "ends", ends }, { "write_space", write_space },
    { "refusals", refusals }, { "duplicates", duplicates }, { "two_sets", two_sets }, { "mixed", mixed }, { "rotation", rotation },
    { "listening", listening }, { 0 },
};
