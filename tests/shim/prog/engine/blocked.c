// A call that blocks in one thread, while another shuts the socket down, or closes the descriptor: the kernel's answer to the call, and
// whether the connection lives on as long as the call does.
#include "../prog.h"

#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

static int l, port, peer, fd, ep;
static _Atomic int tid;
static long told; // what the call said
static char block[1 << 20];

static long in_read(void) { return read(fd, block, 10); }
static long in_waitall(void) { return recv(fd, block, 10, MSG_WAITALL); }
static long in_accept(void) { return accept(l, NULL, NULL) >= 0 ? 0 : -1; }

static long in_write(void)
{
    long n;
    while ((n = send(fd, block, sizeof block, MSG_NOSIGNAL)) == sizeof block)
        ;
    return n < 0 ? n : 1; // a part: how large is the buffers' affair
}

static long in_poll(void)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    long r = poll(&p, 1, -1);
    return r < 0 ? r : p.revents;
}

static long in_poll_for_a_while(void)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    long r = poll(&p, 1, 1500);
    return r <= 0 ? r : p.revents;
}

static long in_select(void)
{
    fd_set s;
    FD_ZERO(&s);
    FD_SET(fd, &s);
    return select(fd + 1, &s, NULL, NULL, NULL);
}

static long in_epoll(void)
{
    struct epoll_event ev = { 0 };
    long r = epoll_wait(ep, &ev, 1, -1);
    return r < 0 ? r : (long)ev.events;
}

static void *runs(void *call)
{
    tid = (int)syscall(SYS_gettid);
    long r = ((long (*)(void))call)();
    told = r < 0 ? -errno : r;
    return NULL;
}

// asleep: the thread sleeps, and did so a while ago.
static int asleep(void)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (int i = 0; i < 5; i++, nap(4)) {
        int f = open(path, O_RDONLY);
        ssize_t n = read(f, text, sizeof text - 1);
        close(f);
        char *state = n > 0 ? strrchr(text, ')') : NULL;
        if (!tid || !state || state[2] != 'S')
            return 0;
    }
    return 1;
}

static void shut_read(void) { result("  shutdown", shutdown(fd, SHUT_RD)); }
static void shut_write(void) { result("  shutdown", shutdown(fd, SHUT_WR)); }
static void shut_both(void) { result("  shutdown", shutdown(fd, SHUT_RDWR)); }
static void shut_listener(void) { result("  shutdown", shutdown(l, SHUT_RD)); }
static void reset(void)
{
    struct linger now = { 1, 0 };
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
}

// closed: what comes after that is still the call's.
static void closed(void)
{
    result("  close", close(fd));
    result("  a use", fcntl(fd, F_GETFD));
    must(write(peer, "0123456789", 10) == 10, "late");
}

// silent: nothing comes after that.
static void silent(void) { result("  close", close(fd)); }

// another: the number is another connection's by the time that something comes.
static void another(void)
{
    result("  close", close(fd));
    int old = peer;
    fd = pair(l, port, &peer);
    must(write(old, "0123456789", 10) == 10, "late");
    nap(20);
    must(write(peer, "0123456789", 10) == 10, "to the other");
    close(old);
}

static void drained(void)
{
    result("  close", close(fd));
    for (ssize_t n; (n = read(peer, block, sizeof block)) > 0;)
        ;
}

static const struct trial {
    const char *name;
    long (*call)(void);
    void (*act)(void);
} trials[] = {
    { "read, SHUT_RD", in_read, shut_read }, { "read, SHUT_RDWR", in_read, shut_both }, { "read, close", in_read, closed }, { "read, reset", in_read, reset },
    { "recv MSG_WAITALL, SHUT_RD", in_waitall, shut_read }, { "recv MSG_WAITALL, close", in_waitall, closed },
    { "poll, SHUT_RD", in_poll, shut_read }, { "poll, SHUT_RDWR", in_poll, shut_both }, { "poll, reset", in_poll, reset },
    { "poll, close", in_poll, closed }, { "poll with a limit, close", in_poll_for_a_while, silent },
    { "poll with a limit, number used again", in_poll_for_a_while, another },
    { "select, SHUT_RD", in_select, shut_read }, { "select, close", in_select, closed },
    { "epoll_wait, SHUT_RD", in_epoll, shut_read }, { "epoll_wait, SHUT_RDWR", in_epoll, shut_both },
    { "write, SHUT_WR", in_write, shut_write }, { "write, SHUT_RDWR", in_write, shut_both }, { "write, close", in_write, drained }, { "write, reset", in_write, reset },
    { "accept, shutdown", in_accept, shut_listener },
};

int main(void)
{
    l = listener(AF_INET, &port);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        pthread_t t;
        show(trials[i].name, "");
        fd = pair(l, port, &peer);
        ep = epoll_create1(0);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN | EPOLLRDHUP });
        tid = 0;
        pthread_create(&t, NULL, runs, (void *)trials[i].call);
        UNTIL(asleep());
        trials[i].act();
        pthread_join(t, NULL);
        show("  the call", told < 0 ? "%ld %s" : "%ld", told, told < 0 ? strerrorname_np((int)-told) : "");
        close(fd), close(peer), close(ep);
    }
    return 0;
}
