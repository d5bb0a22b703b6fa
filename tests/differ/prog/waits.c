// Calls that wait for readiness.
#include "differ.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

static void revents(const struct pollfd *p, int n, int r)
{
    bound_end();
    say_result(r);
    for (int i = 0; i < n && r >= 0; i++)
        say(" %x", p[i].revents);
}

static int fill(struct pollfd *p, const long *a)
{
    for (int i = 0; i < 3; i++)
        p[i] = (struct pollfd){ .fd = fd_of(a[i]), .events = (short)a[3] };
    return 3;
}

static void do_poll(const long *a)
{
    struct pollfd p[3];
    int n = fill(p, a);
    bound_begin();
    revents(p, n, poll(at(a[5], p), (nfds_t)n, (int)a[4]));
}

static void do_ppoll(const long *a)
{
    struct pollfd p[3];
    struct timespec t = { 0, a[4] * 1000000 };
    int n = fill(p, a);
    bound_begin();
    revents(p, n, ppoll(p, (nfds_t)n, a[4] < 0 ? NULL : &t, NULL));
}

// select of two descriptors in the sets that mask names; bit 3: of NULL sets only.
static void do_select(const long *a)
{
    fd_set s[3];
    fd_set *set[3];
    struct timeval t = { 0, a[3] * 1000 };
    int most = -1;
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&s[i]);
        set[i] = a[2] & (1 << i) ? &s[i] : NULL;
        for (int k = 0; k < 2; k++)
            if (fd_of(a[k]) >= 0 && fd_of(a[k]) < FD_SETSIZE) {
                FD_SET(fd_of(a[k]), &s[i]);
                most = fd_of(a[k]) > most ? fd_of(a[k]) : most;
            }
    }
    bound_begin();
    int r = select((int)a[4] ? (int)a[4] : most + 1, set[0], set[1], set[2], a[3] < 0 ? NULL : &t);
    bound_end();
    say_result(r);
    for (int i = 0; i < 3 && r >= 0; i++)
        for (int k = 0; k < 2; k++)
            if (set[i] && fd_of(a[k]) >= 0 && fd_of(a[k]) < FD_SETSIZE)
                say(" %d", FD_ISSET(fd_of(a[k]), set[i]) != 0);
}

static void do_epoll_create1(const long *a)
{
    int fd = epoll_create1((int)a[1]);
    say_result(fd);
    slot_set(a[0], fd);
}

static void do_epoll_ctl(const long *a)
{
    struct epoll_event e = { .events = (uint32_t)a[3], .data.u64 = (uint64_t)a[2] };
    say_result(epoll_ctl(fd_of(a[0]), (int)a[1], fd_of(a[2]), at(a[4], &e)));
}

static void do_epoll_wait(const long *a)
{
    struct epoll_event e[8];
    uint32_t seen[16] = { 0 };
    bound_begin();
    int r = epoll_wait(fd_of(a[0]), at(a[3], e), (int)a[1], (int)a[2]);
    bound_end();
    say_result(r);
    for (int i = 0; i < r && i < 8 && a[3] == 0; i++)
        seen[e[i].data.u64 & 15] = e[i].events; // their order is nobody's promise
    for (int i = 0; i < 16; i++)
        if (seen[i])
            say(" s%d:%x", i, seen[i]);
}

const struct op wait_ops[] = {
    { "poll", do_poll }, { "ppoll", do_ppoll }, { "select", do_select }, { "epoll_create1", do_epoll_create1 },
    { "epoll_ctl", do_epoll_ctl }, { "epoll_wait", do_epoll_wait }, { NULL, NULL },
};
