// Descriptors: closing, duplicating, flags.
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sys/stat.h>

#include "fresh.h"
#include "kconn.h"
#include "listener.h"
#include "ours.h"
#include "raw.h"
#include "recycle.h"

// hidden: the number is sluice's own; to the program nothing is open there.
static bool hidden(int fd)
{
    if (fd_kind(fd) != FD_OWN)
        return false;
    errno = EBADF;
    return true;
}

INTERPOSE int close(int fd)
{
    if (fd_load(fd) == 0)
        return real.close(fd);
    if (hidden(fd))
        return -1;
    struct recycled r;
    bool again = fd_kind(fd) == FD_CONN && recycle_hold(fd, &r);
    fd_drop(fd);
    int ret = real.close(fd);
    if (again)
        recycle_keep(&r);
    return ret;
}

// drop_range forgets what [lo, hi] named, if it is being closed.
static void drop_range(unsigned lo, unsigned hi, int flags)
{
    if (flags & CLOSE_RANGE_CLOEXEC)
        return;
    for (int fd = fd_next((int)lo); fd >= 0 && (unsigned)fd <= hi; fd = fd_next(fd + 1))
        if (fd_kind(fd) != FD_OWN)
            fd_drop(fd);
}

INTERPOSE int close_range(unsigned lo, unsigned hi, int flags)
{
    if (lo > hi || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || lo >= FD_MAX)
        return real.close_range(lo, hi, flags);
    drop_range(lo, hi, flags);
    unsigned from = lo;
    for (int fd = fd_next((int)lo); fd >= 0 && (unsigned)fd <= hi; fd = fd_next(fd + 1)) {
        if (fd_kind(fd) != FD_OWN)
            continue;
        if ((unsigned)fd > from && real.close_range(from, (unsigned)fd - 1, flags) < 0)
            return -1;
        from = (unsigned)fd + 1;
    }
    return from > hi ? 0 : real.close_range(from, hi, flags);
}

INTERPOSE void closefrom(int lo)
{
    close_range(lo < 0 ? 0 : (unsigned)lo, UINT_MAX, 0);
}

// dup_of makes fd, just duplicated from old, name the same file. held: old is held, and let go of.
static int dup_of(int old, int fd, bool held)
{
    uint64_t was = fd >= 0 ? fd_alias(old, fd, false) : 0;
    fresh_kernels(old);
    if (held)
        fd_unhold(old);
    fd_forget(was, fd);
    return standard(fd);
}

INTERPOSE int dup(int fd)
{
    if (hidden(fd))
        return -1;
    bool held = fd_hold(fd);
    return dup_of(fd, real.dup(fd), held);
}

// dup_onto is dup2 and dup3 for two different numbers. Both are held, the lower first; what the target was goes as by close.
static int dup_onto(int fd, int to, int flags)
{
    bool low = fd_hold(fd < to ? fd : to), high = fd_hold(fd < to ? to : fd);
    bool held = fd < to ? low : high, target = fd < to ? high : low;
    int r = real.dup3(fd, to, flags);
    fresh_kernels(fd);
    uint64_t was = r >= 0 ? fd_alias(fd, to, target) : 0;
    if (r < 0 && target)
        fd_unhold(to);
    if (held)
        fd_unhold(fd);
    fd_forget(was, to);
    return standard(r);
}

INTERPOSE int dup2(int fd, int to)
{
    if (hidden(fd))
        return -1;
    if (fd != to && !own_evict(to)) {
        errno = EBUSY;
        return -1;
    }
    return fd == to ? real.dup2(fd, to) : dup_onto(fd, to, 0);
}

INTERPOSE int dup3(int fd, int to, int flags)
{
    if (hidden(fd))
        return -1;
    if (fd != to && !own_evict(to)) {
        errno = EBUSY;
        return -1;
    }
    return fd == to ? real.dup3(fd, to, flags) : dup_onto(fd, to, flags);
}

// status_flags is F_GETFL: O_NONBLOCK is the file's own affair, the rest the kernel's.
static int status_flags(int fd, struct file *f)
{
    int r = real.fcntl(fd, F_GETFL, NULL);
    return r < 0 ? r : (r & ~(O_NONBLOCK | O_APPEND)) | (atomic_load(&f->nonblock) ? O_NONBLOCK : 0);
}

// for_signals: SIGIO is the kernel's to send, and whom it goes to the socket behind a connection would show for ever.
static bool for_signals(int cmd, long v)
{
    return (cmd == F_SETFL && v & O_ASYNC) || cmd == F_SETOWN || cmd == F_SETSIG || cmd == F_SETOWN_EX;
}

// file_fcntl serves what concerns the open file. False: the kernel's turn.
static bool file_fcntl(int fd, struct file *f, int cmd, void *arg, int *ret)
{
    long v = (long)arg;
    if (f->kind == FD_CONN && for_signals(cmd, v))
        return conn_handover(fd, f) != 0;
    if (f->kind != FD_CONN && f->kind != FD_LISTENER)
        return false;
    if (cmd == F_GETFL) {
        *ret = status_flags(fd, f);
        return true;
    }
    if (cmd != F_SETFL)
        return false;
    atomic_store(&f->nonblock, (v & O_NONBLOCK) != 0);
    *ret = 0;
    if (f->kind == FD_LISTENER)
        *ret = (int)raw_result(RAW(SYS_fcntl, fd, F_SETFL, atomic_load(&f->handle) >= 0 ? listener_flags(v) : v));
    return true;
}

INTERPOSE int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    bool signals = for_signals(cmd, (long)arg);
    if (signals)
        fresh_end(fd);
    if (fd_load(fd) == 0 && cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)
        return real.fcntl(fd, cmd, arg);
    if (hidden(fd))
        return -1;
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
        bool held = fd_hold(fd);
        return dup_of(fd, real.fcntl(fd, cmd, arg), held);
    }
    struct file *f;
    int ret;
look:
    f = fd_kind(fd) == FD_CONN ? conn_get(fd) : file_get(fd);
    ret = -1;
    bool served = f && file_fcntl(fd, f, cmd, arg, &ret);
    bool behind = f && f->kind == FD_CONN && !signals; // about the descriptor: the socket behind it answers
    file_put(f);
    if (served)
        return ret;
    if (behind)
        return real.fcntl(fd, cmd, arg);
    if (signals)
        kconn_pin(fd);
    return BY_KERNEL(fd, real.fcntl(fd, cmd, arg), look);
}

INTERPOSE int fcntl64(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return fcntl(fd, cmd, arg);
}
