// Members of the kernel's epoll sets that become the engine's: a connection made or taken from the kernel, a listener.
#include <stdio.h>

#include "epoll_set.h"
#include "kconn.h"
#include "real.h"
#include "wait.h"

FILE *epoll_info(struct ep_set *set)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", set_fd(set));
    return fopen(path, "re");
}

// entry_of reads the kernel set's own account of its member fd: 1; 0: it has none; -1: nobody can tell (a chroot without /proc).
static int entry_of(struct ep_set *set, int fd, struct epoll_event *ev)
{
    char line[256];
    FILE *info = epoll_info(set);
    bool found = false;
    while (info && !found && fgets(line, sizeof line, info)) {
        int tfd;
        unsigned events;
        unsigned long long data;
        found = sscanf(line, "tfd: %d events: %x data: %llx", &tfd, &events, &data) == 3 && tfd == fd;
        if (found)
            *ev = (struct epoll_event){ .events = events, .data.u64 = data };
    }
    if (info)
        fclose(info);
    return info ? found : -1;
}

// take makes the kernel's entry of fd in a set ours, f's; the item waits for a handle. Under the lock.
static struct ep_item *take(struct ep_set *set, int fd, struct file *f, struct epoll_event *ev)
{
    struct ep_item *it = item_find(set, fd, f);
    if (it || !(it = item_new(set, fd, f, ev)))
        return NULL;
    it->events = ev->events;
    it->quiet = entry_told(set, fd, ev->events);
    struct epoll_event kev = { .events = ev->events, .data.u64 = item_cookie(it) };
    real.epoll_ctl(set_fd(set), it->listener ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, &kev);
    item_link(it->listener ? &set->listeners : &set->conns, it);
    return it;
}

static bool has(struct ep_set *set, int fd, struct epoll_event *ev)
{
    return entry_of(set, fd, ev) == 1 && ev->data.u64 >> 32 != bell_cookie() >> 32;
}

void epoll_fd_taken(int fd, struct file *f)
{
    struct sl_shared *s = shared();
    struct epoll_event ev;
    if (f->kind == FD_LISTENER)
        epoll_joined(fd, f);
    if (!s || !epoll_saw(fd))
        return;
    ready_lock();
    for (struct ep_set *set = all_sets; set; set = set->next) {
        struct ep_item *it = has(set, fd, &ev) ? take(set, fd, f, &ev) : NULL;
        if (it) {
            item_attach(it, atomic_load(&f->handle));
            item_look(s, it);
        }
    }
    ready_unlock();
}

bool epoll_conn_leaves(int fd, struct file *c)
{
    struct epoll_event ev;
    bool known = true;
    ready_lock();
    for (struct ep_set *set = all_sets; known && set; set = set->next) {
        struct ep_item *parked = set->parked ? item_parked(set, fd) : NULL;
        if (parked) { // disarmed: the kernel has no entry
            ev = (struct epoll_event){ .events = parked->events, .data.u64 = parked->data };
            item_free(parked);
            take(set, fd, c, &ev);
        } else if (epoll_saw(fd)) {
            int entry = entry_of(set, fd, &ev);
            known = entry >= 0 && (entry == 0 || take(set, fd, c, &ev));
        }
    }
    ready_unlock();
    return known;
}

void epoll_conn_joins(struct file *c)
{
    struct sl_shared *s = shared();
    ready_lock();
    for (struct ep_set *set = all_sets; s && set; set = set->next)
        for (struct ep_item *it = set->conns; it; it = it->next)
            if (it->file == c) {
                item_attach(it, atomic_load(&c->handle));
                item_join(s, it);
            }
    ready_unlock();
}
