/* Sets across fork, hand-over, sets in sets; and the random walk. */
#include "rig.h"

static void nested(void)
{
    struct pair p = pair();
    int inner = epoll_create1(0), outer = epoll_create1(0);
    SAY_ERR(add(outer, inner, EPOLLIN, 'i'));
    add(inner, p.srv, EPOLLIN, 'a');
    show(outer, 0);
    put(p.cli, "x");
    show(outer, 2000);
    show(inner, 0);
    show(outer, 0);
    struct pollfd f = { .fd = inner, .events = POLLIN };
    say("poll %d", poll(&f, 1, 2000));
    get(p.srv);
    show(inner, 0);
    show(inner, 0);
    say("poll %d", poll(&f, 1, 0));
    SAY_ERR(add(inner, outer, EPOLLIN, 'x'));
}

static void pass(int via, int fd)
{
    char c[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec iov = { .iov_base = "f", .iov_len = 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    SAY_ERR(sendmsg(via, &m, 0));
}

/* Passing a descriptor hands the connection to the kernel: the sets it is in go on. */
static void moved(void)
{
    struct pair p = pair(), q = pair(), r = pair();
    int ep = epoll_create1(0), sp[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sp);
    add(ep, p.srv, EPOLLIN, 'a');
    add(ep, q.srv, EPOLLIN | EPOLLET, 'q');
    add(ep, r.srv, EPOLLIN | EPOLLONESHOT, 'r');
    put(r.cli, "one");
    show(ep, -1);
    pass(sp[0], p.srv);
    pass(sp[0], q.srv);
    pass(sp[0], r.srv);
    show(ep, 0);
    put(p.cli, "x");
    put(q.cli, "y");
    put(r.cli, "two");
    show(ep, -1);
    get(p.srv);
    get(q.srv);
    SAY_ERR(mod(ep, r.srv, EPOLLIN | EPOLLONESHOT, 's'));
    show(ep, 0);
    get(r.srv);
    SAY_ERR(del(ep, r.srv));
    SAY_ERR(del(ep, r.srv));
    SAY_ERR(add(ep, r.srv, EPOLLIN, 't'));
    SAY_ERR(del(ep, p.srv));
    put(p.cli, "z");
    show(ep, 0);
}

static void forked(void)
{
    int l = listener(), ep = epoll_create1(0), pipes[2];
    (void)!pipe(pipes);
    add(ep, l, EPOLLIN, 'l');
    add(ep, pipes[0], EPOLLIN, 'p');
    show(ep, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        show(ep, 0);
        (void)!write(pipes[1], "x", 1);
        show(ep, 1000);
        int fresh = epoll_create1(0);
        struct pair p = pair();
        add(fresh, p.srv, EPOLLIN, 'c');
        put(p.cli, "x");
        show(fresh, 2000);
        get(p.srv);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    show(ep, 0);
    (void)!read(pipes[0], (char[1]){ 0 }, 1);
    int c = dial(l, false);
    show(ep, 2000);
    close(take(l));
    close(c);
}

#define N 4
static struct pair conn[N];
static int known[N], open_end[N];

static void random_ctl(int ep, int i)
{
    static const uint32_t masks[] = { EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLOUT, EPOLLIN | EPOLLRDHUP, 0, EPOLLIN | EPOLLPRI };
    static const uint32_t modes[] = { 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT };
    uint32_t ev = masks[rand() % 6] | modes[rand() % 4];
    bool remove = known[i] && rand() % 3 == 0;
    int r = remove ? del(ep, conn[i].srv) : known[i] ? mod(ep, conn[i].srv, ev, (uint64_t)('a' + i)) : add(ep, conn[i].srv, ev, (uint64_t)('a' + i));
    known[i] = !remove;
    say("%c: ctl %s %x: %d", 'a' + i, remove ? "del" : "set", remove ? 0 : ev, r);
}

static void random_step(int ep)
{
    int i = rand() % N;
    if (conn[i].srv < 0) {
        conn[i] = pair();
        open_end[i] = 1;
        known[i] = 0;
    }
    switch (rand() % 12) {
    case 0: case 1: case 2:
        random_ctl(ep, i);
        break;
    case 3: case 4:
        if (open_end[i]) {
            say("%c: send", 'a' + i);
            put(conn[i].cli, "data");
        }
        break;
    case 5: case 6:
        say("%c: recv", 'a' + i);
        get(conn[i].srv);
        break;
    case 7:
        if (rand() % 4 == 0 && open_end[i]) {
            say("%c: peer ends", 'a' + i);
            shutdown(conn[i].cli, SHUT_WR);
            settle();
            open_end[i] = 0;
        }
        break;
    case 8:
        if (rand() % 6 == 0) {
            say("%c: close", 'a' + i);
            close(conn[i].srv), close(conn[i].cli);
            conn[i].srv = -1;
        }
        break;
    default:
        show(ep, 0);
    }
}

void random_run(unsigned seed, int steps)
{
    srand(seed);
    for (int i = 0; i < N; i++)
        conn[i].srv = -1;
    int ep = epoll_create1(0);
    for (int i = 0; i < steps; i++)
        random_step(ep);
    for (int i = 0; i < 3; i++)
        show(ep, 0);
}

const struct scenario life[] = {
    { "nested", nested }, { "moved", moved }, { "forked", forked }, { 0 },
};
