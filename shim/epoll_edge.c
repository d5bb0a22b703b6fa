// A connection that changes sides is not news to an edge-triggered entry. The kernel, to which an entry is new, tells of all that is ready at once: that
// event is taken out again if the program had been told before and nothing has happened since. An edge is never lost for it: in doubt there is one too many.
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>

#include "epoll_set.h"
#include "raw.h"
#include "real.h"

#define OUT (EPOLLOUT | EPOLLWRNORM)

static bool edge(uint32_t events) { return (events & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE)) == EPOLLET; }

// A move bumps both edges by one (cabi.h).
void items_leave(const struct sl_shared *s, struct ep_item *items, int h)
{
    uint32_t in = atomic_load_explicit(&s->words[h].edge_in, memory_order_acquire);
    uint32_t out = atomic_load_explicit(&s->words[h].edge_out, memory_order_acquire);
    for (struct ep_item *it = items; it; it = it->hnext)
        if (edge(it->events) && !it->is_ready && in == it->seen_in + 1 && out == it->seen_out + 1)
            it->quiet = true;
}

static short ready_now(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    struct timespec none = { 0, 0 };
    return RAW_ON(SYS_ppoll, &p, 1, &none, NULL, 0) < 0 ? events : p.revents;
}

// eventful: something has happened to kernel socket fd since it came to life. Its first acknowledged octet is fallback/repair's.
static bool eventful(int fd, uint32_t events)
{
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    if (RAW(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &i, &n) < 0 || n < sizeof i)
        return true;
    return i.tcpi_data_segs_in > 0 || (events & OUT && i.tcpi_bytes_acked > 1) || ready_now(fd, POLLRDHUP | POLLPRI) != 0;
}

// again puts back an event that was not for us: the entries with its data tell again, if they are ready. Those of a level do by themselves; one-shot
// ones were disarmed by it, and have that event to tell.
static void again(struct ep_set *set, FILE *info, const struct epoll_event *told)
{
    char line[256];
    while (fgets(line, sizeof line, info)) {
        int fd;
        unsigned long long data;
        struct epoll_event ev;
        if (sscanf(line, "tfd: %d events: %x data: %llx", &fd, &ev.events, &data) != 3 || data != told->data.u64)
            continue;
        ev.data.u64 = data;
        if ((ev.events & ~(uint32_t)EP_PRIVATE) == 0)
            ev.events |= told->events;
        else if (!(ev.events & EPOLLET))
            continue;
        if (ev.events & EPOLLEXCLUSIVE && real.epoll_ctl(set_fd(set), EPOLL_CTL_DEL, fd, &ev) == 0)
            real.epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, &ev);
        else
            real.epoll_ctl(set_fd(set), EPOLL_CTL_MOD, fd, &ev);
    }
}

// add_quietly adds an entry to a set in which nothing was ready a moment ago, and takes its first event out again.
static int add_quietly(struct ep_set *set, int fd, struct epoll_event *ev, FILE *info)
{
    struct epoll_event first;
    int r = real.epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, ev);
    if (r != 0 || RAW(SYS_epoll_pwait, set_fd(set), &first, 1, 0, NULL, 8) != 1)
        return r;
    if (first.data.u64 != ev->data.u64)
        again(set, info, &first);
    else if (eventful(fd, ev->events))
        real.epoll_ctl(set_fd(set), EPOLL_CTL_MOD, fd, ev);
    return 0;
}

int entry_add(struct ep_set *set, int fd, struct epoll_event *ev, bool quiet)
{
    FILE *info = quiet && ready_now(set_fd(set), POLLIN) == 0 ? epoll_info(set) : NULL;
    if (!info)
        return real.epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, ev);
    atomic_store(&set->adding, true);
    int r = add_quietly(set, fd, ev, info), err = errno;
    atomic_store(&set->adding, false);
    fclose(info);
    errno = err;
    return r;
}

bool entry_told(struct ep_set *set, int fd, uint32_t events)
{
    return edge(events) && ready_now(set_fd(set), POLLIN) == 0 && (!(events & OUT) || ready_now(fd, POLLOUT) == POLLOUT);
}

void item_join(const struct sl_shared *s, struct ep_item *it)
{
    bool told = it->quiet && it->handle >= 0;
    it->quiet = false;
    if (told) {
        const struct sl_word *w = &s->words[it->handle];
        it->seen_in = atomic_load_explicit(&w->edge_in, memory_order_acquire);
        it->seen_out = atomic_load_explicit(&w->edge_out, memory_order_acquire);
        told = (atomic_load_explicit(&w->ready, memory_order_acquire) & it->events & ~(uint32_t)(EP_PRIVATE | OUT)) == 0;
    }
    if (!told)
        item_look(s, it);
}
