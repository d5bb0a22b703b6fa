// A connection is taken from the kernel like this: no call is inside its gate; its entries leave the kernel's epoll sets; the engine takes
// it; its descriptors and entries become the engine's; whoever waited looks again. From first to last no octet can be read or written.
#include "attach.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "claim.h"
#include "epoll_set.h"
#include "kconn.h"
#include "log.h"
#include "own.h"
#include "raw.h"
#include "sleep.h"

_Atomic uint32_t attach_gen;
static _Atomic uint32_t seen;

uint32_t attach_seen(void) { return atomic_load_explicit(&seen, memory_order_relaxed); }

// copy: a descriptor of our own for k's socket, while fd names it; -1.
static int copy(struct file *k, int fd)
{
    int mine = -1;
    if (!fd_hold(fd))
        return -1;
    if (file_is(k, fd))
        mine = (int)RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, own_base());
    fd_unhold(fd);
    return mine;
}

static int64_t timeout(int fd, int name)
{
    struct timeval tv = { 0, 0 };
    socklen_t n = sizeof tv;
    RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &tv, &n);
    return (int64_t)tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
}

// file_for: the file that the connection of kernel socket mine will be.
static struct file *file_for(int mine)
{
    struct file *c = file_new(FD_CONN);
    int low = 1;
    socklen_t n = sizeof low;
    if (!c)
        return NULL;
    atomic_store(&c->nonblock, (RAW(SYS_fcntl, mine, F_GETFL) & O_NONBLOCK) != 0);
    atomic_store(&c->rcv_timeout_ns, timeout(mine, SO_RCVTIMEO));
    atomic_store(&c->snd_timeout_ns, timeout(mine, SO_SNDTIMEO));
    RAW(SYS_getsockopt, mine, SOL_SOCKET, SO_RCVLOWAT, &low, &n);
    int cork = 0;
    n = sizeof cork;
    c->corked = RAW(SYS_getsockopt, mine, IPPROTO_TCP, TCP_CORK, &cork, &n) == 0 && cork;
    atomic_store(&c->rcv_lowat, low > 0 ? low : 1);
    return c;
}

// each_of calls fn for every descriptor of k, held; fn lets go of it.
static void each_of(struct file *k, void (*fn)(int fd, void *arg), void *arg)
{
    for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
        if (!file_is(k, fd) || !fd_hold(fd))
            continue;
        if (file_is(k, fd))
            fn(fd, arg);
        else
            fd_unhold(fd);
    }
}

struct leaving {
    struct file *c;
    bool left;
};

static void leave_sets(int fd, void *arg)
{
    struct leaving *l = arg;
    l->left = l->left && epoll_conn_leaves(fd, l->c);
    fd_unhold(fd);
}

static void rebind(int fd, void *c) { fd_rebind(fd, c); }

static void replace(int fd, void *kernel)
{
    long flags = RAW(SYS_fcntl, fd, F_GETFD);
    RAW(SYS_dup3, *(int *)kernel, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    fd_unhold(fd);
}

// taken: handle h is the connection from now on. It may be wanted back at once: nobody settles that before all descriptors are c's.
static void taken(struct file *k, struct file *c, int h)
{
    settle_wait(true);
    atomic_store(&c->handle, h);
    epoll_conn_joins(c);
    while (atomic_load(&k->fds) > 0) // a dup under way may add one
        each_of(k, rebind, c);
    kconn_gone(k);
    file_set_handle(c, h);
    settle_wait(false);
    file_settle(c);
}

// stays: it is the kernel's still, or again: then as another socket.
static void stays(struct file *k, struct file *c, int r)
{
    if (r >= 0) {
        int kernel = r & ~SL_KERNEL_FD;
        RAW(SYS_fcntl, kernel, F_SETFL, O_RDWR | (atomic_load(&c->nonblock) ? O_NONBLOCK : 0));
        each_of(k, replace, &kernel);
        RAW(SYS_close, kernel);
    }
    epoll_conn_returns(c);
    kconn_open(k);
}

// Connections that are taken together: the broker works on one while we do on another. All of them stand still meanwhile, so they are few, and have no
// more octets in their queues than that.
#define TOGETHER 4
#define OCTETS (256 << 10)

struct mover {
    struct file *k, *c;
    int mine;
};

struct crowd {
    struct mover of[TOGETHER];
    int n, octets;
    int moved, left; // of all
};

static int queued(int mine)
{
    int in = 0, out = 0;
    RAW(SYS_ioctl, mine, SIOCINQ, &in);
    RAW(SYS_ioctl, mine, SIOCOUTQ, &out);
    return in + out;
}

static void end(struct mover *m)
{
    RAW(SYS_close, m->mine);
    file_put(m->c); // if the program closed it meanwhile, this closes it
    file_put(m->k);
}

// go takes those that stand ready.
static void go(struct crowd *all)
{
    int fds[TOGETHER], r[TOGETHER];
    if (all->n == 0)
        return;
    for (int i = 0; i < all->n; i++)
        fds[i] = all->of[i].mine;
    ENGINE(sl_takeover, all->n, fds, r);
    for (int i = 0; i < all->n; i++) {
        struct mover *m = &all->of[i];
        bool ok = r[i] >= 0 && !(r[i] & SL_KERNEL_FD);
        if (ok)
            taken(m->k, m->c, r[i]);
        else
            stays(m->k, m->c, r[i]);
        all->moved += ok, all->left += !ok;
    }
    sleepers_wake();
    for (int i = 0; i < all->n; i++)
        end(&all->of[i]);
    all->n = all->octets = 0;
}

// ready holds m up, out of all epoll sets. False: it cannot be.
static bool ready(struct mover *m)
{
    m->c = file_for(m->mine);
    if (!m->c || !kconn_shut(m->k))
        return false;
    atomic_fetch_add(&attach_gen, 1);
    struct leaving l = { m->c, true };
    each_of(m->k, leave_sets, &l);
    if (l.left && !atomic_load(&m->k->pinned))
        return true;
    stays(m->k, m->c, -ENOENT);
    sleepers_wake();
    return false;
}

// join adds k, mine a descriptor of its socket, to those that go. Both are join's.
static void join(struct crowd *all, struct file *k, int mine)
{
    struct mover *m = &all->of[all->n], new = { .k = k, .mine = mine };
    int octets = queued(mine);
    if (all->octets + octets > OCTETS || k->unsure || kconn_busy(k)) { // nobody stands still for what may be waited for
        go(all);
        m = all->of;
    }
    bool may = !atomic_load(&k->pinned) && atomic_load(&k->heirs) == 0 && claim_sure(k);
    *m = new;
    if (!may || !ready(m)) {
        all->left++;
        end(m);
        return;
    }
    all->octets += octets;
    if (++all->n == TOGETHER)
        go(all);
}

void attach_serve(struct sl_shared *s)
{
    uint32_t wish = atomic_load(&s->wish);
    if (wish == attach_seen())
        return;
    atomic_store(&seen, wish);
    struct crowd all = { .left = claim_wished() };
    for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
        struct file *k = fd_kind(fd) == FD_KCONN ? file_get(fd) : NULL;
        int mine = k && k->kind == FD_KCONN && atomic_load(&k->fd) == fd ? copy(k, fd) : -1;
        if (mine >= 0 && ENGINE(sl_wished, mine) == 1) {
            join(&all, k, mine);
            continue;
        }
        if (mine >= 0)
            RAW(SYS_close, mine);
        file_put(k);
    }
    go(&all);
    ENGINE(sl_wish_done, all.moved, all.left);
}
