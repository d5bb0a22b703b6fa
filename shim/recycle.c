#include "recycle.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "epoll_set.h"
#include "fdmap.h"
#include "file.h"
#include "knobs.h"
#include "ours.h"
#include "own.h"
#include "process.h"
#include "raw.h"
#include "roam.h"

enum { KEPT = 16 }; // of a family

static struct shelf {
    struct recycled kept[KEPT];
    int n;
} shelves[2]; // AF_INET, AF_INET6
static uid_t owner; // who made them: the kernel keeps that with a socket (ip rule uidrange, ss)
static atomic_flag taken = ATOMIC_FLAG_INIT;
static _Atomic int some; // how many there are

// A signal handler may close and open sockets while its thread is in here: whoever finds the shelves taken does without.
static bool take(void) { return !atomic_flag_test_and_set_explicit(&taken, memory_order_acquire); }
static void give(void) { atomic_flag_clear_explicit(&taken, memory_order_release); }

static void forget(int fd)
{
    fd_mark(fd, FD_KERNEL);
    RAW(SYS_close, fd);
}

bool recycle_hold(int fd, struct recycled *r)
{
    static _Atomic int base;
    if (!(knobs.fast & FAST_RECYCLE))
        return false;
    struct file *f = file_get(fd);
    r->file = f;
    r->gen = f ? atomic_load(&f->gen) : 0;
    // Another call that is under way on the connection may ask its socket something.
    bool alone = f && f->kind == FD_CONN && !f->settled && atomic_load(&f->refs) == 2 && atomic_load(&f->fds) == 1;
    file_put(f);
    if (!alone || roamed() || epoll_saw(fd) || !fresh_clean(fd)) // a kernel's set remembers a socket for as long as it has any number
        return false;
    if (atomic_load(&base) == 0)
        atomic_store(&base, own_base());
    r->fd = (int)RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, atomic_load(&base));
    if (r->fd < 0)
        return false;
    fd_mark(r->fd, FD_OWN);
    if (fresh_leaves(fd, r->fd, &r->socket))
        return true;
    forget(r->fd);
    return false;
}

// gone: the connection's file is no more. Else another thread has made a duplicate while it was closed.
static bool gone(const struct recycled *r) { return atomic_load(&r->file->gen) != r->gen || atomic_load(&r->file->refs) == 0; }

void recycle_keep(const struct recycled *r)
{
    struct shelf *s = &shelves[r->socket.six];
    bool kept = false;
    struct stat st;
    if (gone(r) && RAW(SYS_fstat, r->fd, &st) == 0 && take()) {
        if (atomic_load(&some) == 0)
            owner = st.st_uid;
        if ((kept = s->n < KEPT && owner == st.st_uid)) {
            s->kept[s->n++] = *r;
            atomic_fetch_add(&some, 1);
        }
        give();
    }
    if (!kept)
        forget(r->fd);
}

// placed gives r the program's number and flags; -1: it could not be.
static int placed(const struct recycled *r, int flags)
{
    int fd = (int)RAW(SYS_fcntl, r->fd, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    forget(r->fd);
    if (fd < 0)
        return -1;
    if (RAW(SYS_fcntl, fd, F_SETFL, O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0)) >= 0 && fresh_again(fd, &r->socket))
        return fd;
    RAW(SYS_close, fd);
    return -1;
}

int recycle_socket(int domain, int type, int proto)
{
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (atomic_load_explicit(&some, memory_order_relaxed) == 0 || !process_self() || roamed() || (type ^ flags) != SOCK_STREAM || (domain != AF_INET && domain != AF_INET6)
        || (proto != 0 && proto != IPPROTO_TCP))
        return -1;
    struct shelf *s = &shelves[domain == AF_INET6];
    struct recycled r = { .fd = -1 };
    uid_t uid = (uid_t)RAW(SYS_geteuid);
    if (!take())
        return -1;
    bool others = owner != uid;
    if (!others && s->n > 0) {
        r = s->kept[--s->n];
        atomic_fetch_sub(&some, 1);
    }
    give();
    if (others)
        recycle_flush();
    return r.fd < 0 ? -1 : placed(&r, flags);
}

bool recycle_evict(int fd)
{
    if (atomic_load(&some) == 0 || !take())
        return false;
    bool found = false;
    for (struct shelf *s = shelves; s < shelves + 2; s++)
        for (int i = 0; i < s->n && !found; i++)
            if ((found = s->kept[i].fd == fd))
                s->kept[i] = s->kept[--s->n];
    if (found) {
        atomic_fetch_sub(&some, 1);
        forget(fd);
    }
    give();
    return found;
}

void recycle_flush(void)
{
    if (atomic_load(&some) == 0 || !take())
        return;
    for (struct shelf *s = shelves; s < shelves + 2; s++)
        while (s->n > 0)
            forget(s->kept[--s->n].fd);
    atomic_store(&some, 0);
    give();
}

void recycle_forked(void)
{
    if (take()) {
        give();
        recycle_flush();
    } else { // another thread was in there: what it has written is not known, and the numbers stay open
        shelves[0].n = shelves[1].n = 0;
        atomic_store(&some, 0);
        give();
    }
}
