// epoll_create, epoll_ctl: which set a descriptor goes into, the kernel's, ours or both.
#include <errno.h>
#include <string.h>

#include "epoll_set.h"
#include "kconn.h"
#include "knobs.h"
#include "nest.h"
#include "ours.h"
#include "probe.h"
#include "real.h"
#include "wait.h"

static int fail(int err)
{
    errno = err;
    return -1;
}

static bool wanted(void) { return knobs.on && (knobs.listen.n > 0 || knobs.connect.n > 0); }

static int created(int ep)
{
    new_fd(ep);
    if (ep >= 0 && wanted())
        set_new(ep); // without memory it stays the kernel's
    return ep;
}

INTERPOSE int epoll_create(int size) { return created(real.epoll_create(size)); }
INTERPOSE int epoll_create1(int flags) { return created(real.epoll_create1(flags)); }

// set_known: a set that the program did not make, but was left by the one that started it, is to be looked through, too, when what is in it comes to
// the engine.
static void set_known(int ep)
{
    if (fd_load(ep) == 0 && wanted())
        set_found(ep);
}

// set_need: the set of ep, which is about to get fd, an engine's descriptor; NULL with errno if ep is not an epoll set.
static struct ep_set *set_need(int ep, int fd, struct file **f)
{
    struct ep_set *set = set_of(ep, f);
    if (set)
        return set;
    struct epoll_event none = { 0 };
    if (real.epoll_ctl(ep, EPOLL_CTL_DEL, fd, &none) != 0 && errno != ENOENT)
        return NULL;
    if (!set_found(ep))
        return fail(ENOMEM), NULL;
    return set_of(ep, f);
}

#define EXCLUSIVE_OK (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

// ctl_refused: what the kernel says to the combination: 0 or an errno.
static int ctl_refused(int op, const struct ep_item *it, const struct epoll_event *ev)
{
    if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        return EINVAL;
    if (op != EPOLL_CTL_DEL && !ev)
        return EFAULT;
    if (op != EPOLL_CTL_DEL && ev->events & EPOLLEXCLUSIVE && (op == EPOLL_CTL_MOD || ev->events & ~(uint32_t)EXCLUSIVE_OK))
        return EINVAL;
    if (op == EPOLL_CTL_ADD)
        return it ? EEXIST : 0;
    if (!it)
        return ENOENT;
    return op == EPOLL_CTL_MOD && it->events & EPOLLEXCLUSIVE ? EINVAL : 0;
}

static void item_change(struct ep_item *it, const struct epoll_event *ev)
{
    it->events = ev->events | EPOLLERR | EPOLLHUP;
    it->data = ev->data.u64;
    item_look(shared(), it);
}

// ctl_conn changes the items of a connection. Under the lock. 0 or an errno.
static int ctl_conn(struct ep_set *set, int op, int fd, struct file *f, const struct epoll_event *ev)
{
    struct ep_item *it = item_find(set, fd, f);
    int err = ctl_refused(op, it, ev);
    if (err)
        return err;
    if (op == EPOLL_CTL_DEL) {
        item_free(it);
    } else if (op == EPOLL_CTL_MOD) {
        item_change(it, ev);
    } else {
        it = item_new(set, fd, f, ev);
        if (!it)
            return ENOMEM;
        item_link(&set->conns, it);
        item_attach(it, atomic_load(&f->handle));
        item_look(shared(), it);
    }
    return 0;
}

// ctl_listener changes a listener's item and its entry in the kernel's set together. Under the lock. 0 or an errno.
static int ctl_listener(struct ep_set *set, int ep, int op, int fd, struct file *f, const struct epoll_event *ev)
{
    struct ep_item *it = item_find(set, fd, f);
    bool fresh = !it;
    if (op == EPOLL_CTL_DEL) {
        if (it)
            item_free(it);
        return real.epoll_ctl(ep, op, fd, NULL) == 0 ? 0 : errno;
    }
    if (!ev)
        return EFAULT;
    if (fresh)
        it = item_new(set, fd, f, ev); // MOD too: it was added before it listened
    if (!it)
        return ENOMEM;
    struct epoll_event kev = { .events = ev->events, .data.u64 = item_cookie(it) };
    if (real.epoll_ctl(ep, op, fd, &kev) != 0) {
        int err = errno;
        if (fresh)
            item_free(it);
        return err;
    }
    if (fresh) {
        item_link(&set->listeners, it);
        item_attach(it, shared() ? atomic_load(&f->handle) : -1);
    }
    item_change(it, ev);
    return 0;
}

static bool moved(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    return s && h >= 0 && atomic_load(&s->words[h].moved) != 0;
}

// conn_again: the connection moved to the kernel while it was added: settle what settling may have missed.
static void conn_again(int fd, struct file *f)
{
    if (moved(f))
        file_settle(f);
    if (!file_is(f, fd))
        epoll_fd_moved(fd, f);
}

static int ctl_ours(int ep, int op, int fd, struct file *f, struct epoll_event *ev)
{
    struct file *ef;
    bool listener = f->kind == FD_LISTENER;
    if (listener && op != EPOLL_CTL_DEL && atomic_load(&f->handle) < 0)
        listener_need(fd, f);
    struct ep_set *set = set_need(ep, fd, &ef);
    if (!set)
        return -1;
    ready_lock();
    int err = listener ? ctl_listener(set, ep, op, fd, f, ev) : ctl_conn(set, op, fd, f, ev);
    ready_unlock();
    file_put(ef);
    if (err == ENOENT && !listener && moved(f)) { // its entry is in the kernel's set by now, or will be in a moment
        file_settle(f);
        return epoll_ctl(ep, op, fd, ev);
    }
    if (!listener)
        conn_again(fd, f);
    return err ? fail(err) : 0;
}

// Descriptors that were put into a kernel set: only those need a search when they become the engine's.
static _Atomic uint8_t in_kernel_set[FD_MAX / 8];

bool epoll_saw(int fd) { return (unsigned)fd < FD_MAX && in_kernel_set[fd / 8] & 1 << fd % 8; }

void epoll_note(int fd)
{
    if ((unsigned)fd < FD_MAX && !epoll_saw(fd))
        atomic_fetch_or(&in_kernel_set[fd / 8], (uint8_t)(1 << fd % 8));
}

// ctl_parked: fd may be a moved connection whose one-shot item is disarmed and therefore not in the kernel's set. True: done, with
// the result in *r.
static bool ctl_parked(int ep, int op, int fd, struct epoll_event *ev, int *r)
{
    struct file *ef;
    struct ep_set *set = set_of(ep, &ef);
    if (!set)
        return false;
    bool done = false;
    if (set->parked) {
        ready_lock();
        struct ep_item *it = item_parked(set, fd);
        done = it != NULL;
        int err = it ? ctl_refused(op, it, ev) : 0;
        if (it && !err && op == EPOLL_CTL_MOD && real.epoll_ctl(ep, EPOLL_CTL_ADD, fd, ev) != 0)
            err = errno;
        if (it && !err && op == EPOLL_CTL_MOD)
            epoll_note(fd);
        if (it && !err)
            item_free(it);
        ready_unlock();
        *r = err ? fail(err) : 0;
    }
    file_put(ef);
    return done;
}

static int ctl_kernel(int ep, int op, int fd, struct epoll_event *ev)
{
    int r;
    if (ctl_parked(ep, op, fd, ev, &r))
        return r;
    r = real.epoll_ctl(ep, op, fd, ev);
    if (r == 0 && op == EPOLL_CTL_ADD) {
        epoll_note(fd);
        set_known(ep);
    }
    return r;
}

INTERPOSE int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    enum fd_kind kind;
    if (op != EPOLL_CTL_DEL && !ev) // the kernel looks here first
        return fail(EFAULT);
    if (ev && !probe_there(ev, sizeof *ev))
        return real.epoll_ctl(ep, op, fd, ev);
look:
    kind = fd_kind(fd);
    if (kind == FD_LISTENER || kind == FD_CONN) {
        struct file *f = kind == FD_CONN ? conn_get_staged(fd) : file_get(fd);
        if (f) {
            int r = ctl_ours(ep, op, fd, f, ev);
            file_put(f);
            return r;
        }
    }
    if (kind == FD_OWN)
        return fail(EBADF);
    if (kind == FD_EPOLL && op == EPOLL_CTL_ADD)
        nest_enter(ep, fd);
    return BY_KERNEL(fd, ctl_kernel(ep, op, fd, ev), look);
}
