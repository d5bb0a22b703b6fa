// Members of epoll sets that change sides: connections handed to the kernel, sockets taken by the engine, files closed, a fork.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "epoll_set.h"
#include "nest.h"
#include "ours.h"
#include "raw.h"
#include "real.h"
#include "wait.h"

uint64_t epoll_inode(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

// to_kernel puts an item into the kernel's set under descriptor fd. A disarmed one-shot item can't be added as such: it is parked.
static void to_kernel(struct ep_item *it, int fd)
{
    struct ep_set *set = it->set;
    struct epoll_event ev = { .events = it->events, .data.u64 = it->data };
    bool quiet = it->quiet;
    if ((it->events & ~(uint32_t)EP_PRIVATE) == 0) {
        struct epoll_event dead = ev;
        struct file *f = it->file;
        item_free(it);
        it = item_new(set, fd, f, &dead);
        if (!it)
            return;
        it->events = dead.events;
        it->listener = false;
        it->ino = epoll_inode(fd);
        item_link(&set->parked, it);
        return;
    }
    item_free(it);
    if (entry_add(set, fd, &ev, quiet) == 0)
        epoll_note(fd);
}

void epoll_conn_returns(struct file *c)
{
    ready_lock();
    for (struct ep_set *set = all_sets; set; set = set->next)
        for (struct ep_item *it = set->conns, *next; it; it = next) {
            next = it->next;
            if (it->file == c)
                to_kernel(it, it->fd);
        }
    ready_unlock();
}

// next_conn: an item of f to be moved under fd: its own, or one whose descriptor the program closed (a dup keeps the file open).
static struct ep_item *next_conn(struct file *f, int fd)
{
    struct handle_list *l = ready_handle(atomic_load(&f->handle));
    for (struct ep_item *it = l ? l->items : NULL; it; it = it->hnext)
        if (it->file == f && (it->fd == fd || !file_is(f, it->fd)))
            return it;
    return NULL;
}

// detach takes the items of listener f out of the engine: the kernel's entries stay.
static void detach(struct file *f)
{
    for (struct ep_set *set = all_sets; set; set = set->next)
        for (struct ep_item *it = set->listeners; it; it = it->next)
            if (it->file == f)
                item_attach(it, -1);
}

void epoll_fd_moved(int fd, struct file *f)
{
    ready_lock();
    if (f->kind == FD_LISTENER)
        detach(f);
    else
        for (struct ep_item *it; (it = next_conn(f, fd));)
            to_kernel(it, fd);
    ready_unlock();
}

void epoll_joined(int fd, struct file *f)
{
    int h = atomic_load(&f->handle);
    struct sl_shared *s = shared();
    ready_lock();
    for (struct ep_set *set = all_sets; s && h >= 0 && set; set = set->next)
        for (struct ep_item *it = set->listeners; it; it = it->next)
            if (it->file == f && it->handle != h) {
                item_attach(it, h);
                item_look(s, it);
            }
    ready_unlock();
    (void)fd;
}

static void forget(struct ep_item *it, struct file *f)
{
    while (it) {
        struct ep_item *next = it->next;
        if (it->file == f)
            item_free(it);
        it = next;
    }
}

static void forget_handle(struct file *f)
{
    struct handle_list *l = ready_handle(atomic_load(&f->handle));
    struct ep_item *next;
    for (struct ep_item *it = l ? l->items : NULL; it; it = next) {
        next = it->hnext;
        if (it->file == f)
            item_free(it);
    }
}

void epoll_file_closed(struct file *f)
{
    if (f->kind == FD_EPOLL) {
        struct ep_set *set = atomic_exchange(&f->set, NULL);
        if (set)
            set_free(set);
        return;
    }
    ready_lock();
    forget_handle(f);
    if (f->kind == FD_LISTENER)
        for (struct ep_set *set = all_sets; set; set = set->next)
            forget(set->listeners, f);
    ready_unlock();
}

struct ep_item *item_parked(struct ep_set *set, int fd)
{
    struct ep_item *it = set->parked;
    while (it && it->fd != fd)
        it = it->next;
    if (it && it->ino != epoll_inode(fd)) { // that socket is gone, its number is used again
        item_free(it);
        it = NULL;
    }
    return it;
}

// In a forked child nothing is in an engine: the kernel's part of each set, shared with the parent, goes on. Connections are kept as
// items without a handle, until the child waits on the set.
void epoll_forked(void)
{
    for (struct ep_set *set = all_sets; set; set = set->next) {
        set->rhead = set->rtail = NULL;
        set->threads = NULL;
        set->nready = set->active = set->plain = set->detached = 0;
        set->foreign = set->conns != NULL;
        for (struct ep_item *it = set->conns; it; it = it->next)
            it->handle = -1, it->hlink = NULL, it->is_ready = false;
        for (struct ep_item *it = set->listeners; it; it = it->next) {
            it->handle = -1, it->hlink = NULL, it->is_ready = false;
            set->detached++;
        }
    }
}

void epoll_adopt(struct ep_set *set)
{
    for (;;) {
        ready_lock();
        struct ep_item *it = set->conns;
        while (it && it->handle >= 0)
            it = it->next;
        int fd = it ? it->fd : -1;
        struct epoll_event ev = { .events = it ? it->events : 0, .data.u64 = it ? it->data : 0 };
        struct file *f = it ? it->file : NULL;
        if (it)
            item_free(it);
        set->foreign = it != NULL;
        ready_unlock();
        if (!it)
            return;
        if (!file_is(f, fd))
            continue;
        file_put(conn_get(fd)); // the parent hands it over, and puts its own socket into the set; so do we, in case it was quicker to close it
        if (!file_is(f, fd))
            real.epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, &ev);
    }
}
