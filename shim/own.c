// Sluice's own descriptors in the program's table: high numbers, unseen by the program.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>

#include "fdmap.h"
#include "file.h"
#include "own.h"
#include "raw.h"
#include "recycle.h"
#include "sleep.h"

#define OWN_MAX 64
static struct own {
    _Atomic int fd; // + 1; 0: free
    _Atomic(_Atomic int *) keeper;
} own[OWN_MAX];

// own_base: where our numbers begin: near the top of the limit, but no higher than 3840, as the kernel's table (copied by fork)
// grows with the highest number in use.
int own_base(void)
{
    struct rlimit r = { 1024, 1024 };
    RAW(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &r);
    rlim_t top = r.rlim_cur < 4096 ? r.rlim_cur : 4096;
    return top > 512 ? (int)top - 256 : (int)(top / 2);
}

void own_add(int fd, _Atomic int *keeper)
{
    fd_mark(fd, FD_OWN);
    if (!keeper)
        return;
    atomic_store(keeper, fd);
    for (int i = 0; i < OWN_MAX; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&own[i].fd, &none, fd + 1)) {
            atomic_store(&own[i].keeper, keeper);
            return;
        }
    }
}

int own_move(int fd, _Atomic int *keeper)
{
    long to = RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, own_base());
    if (to < 0) // the limit leaves no room there: any number will do
        to = RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    RAW(SYS_close, fd);
    if (to < 0)
        return (int)raw_result(to);
    own_add((int)to, keeper);
    return (int)to;
}

static void own_forget(int fd)
{
    fd_mark(fd, FD_KERNEL);
    for (int i = 0; i < OWN_MAX; i++)
        if (atomic_load(&own[i].fd) == fd + 1) {
            atomic_store(&own[i].keeper, NULL);
            atomic_store(&own[i].fd, 0);
        }
}

void own_close(_Atomic int *keeper)
{
    int fd = atomic_exchange(keeper, -1);
    if (fd < 0)
        return;
    own_forget(fd);
    RAW(SYS_close, fd);
}

void own_drop(int fd)
{
    own_forget(fd);
    RAW(SYS_close, fd);
}

bool own_evict(int fd)
{
    if (fd_kind(fd) != FD_OWN)
        return true;
    if (recycle_evict(fd))
        return true;
    for (int i = 0; i < OWN_MAX; i++) {
        _Atomic int *keeper = atomic_load(&own[i].keeper);
        if (atomic_load(&own[i].fd) != fd + 1 || !keeper)
            continue;
        long to = RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, own_base());
        if (to < 0)
            return false;
        own_forget(fd);
        own_add((int)to, keeper);
        sleepers_settle(); // nobody may write to the program's file instead
        return true;
    }
    return false; // the engine's: it can't be moved
}

// The engine lists its descriptors itself: what we have marked of that list.
static _Atomic uint32_t marked[SL_MAX_OWN];
_Atomic uint32_t own_seen;

void own_sync(struct sl_shared *s)
{
    uint32_t changes = atomic_load(&s->own_changes);
    for (int i = 0; i < SL_MAX_OWN; i++) {
        uint32_t now = atomic_load(&s->own[i]);
        uint32_t was = atomic_exchange(&marked[i], now);
        if (now == was)
            continue;
        if (was && fd_kind((int)was - 1) == FD_OWN)
            fd_mark((int)was - 1, FD_KERNEL);
        if (now)
            fd_mark((int)now - 1, FD_OWN);
    }
    atomic_store(&own_seen, changes);
}

void own_forked(struct sl_shared *s)
{
    for (int i = 0; i < SL_MAX_OWN; i++) {
        uint32_t fd = s ? atomic_load(&s->own[i]) : 0;
        if (fd)
            RAW(SYS_close, fd - 1);
        uint32_t was = atomic_exchange(&marked[i], 0);
        if (was && fd_kind((int)was - 1) == FD_OWN)
            fd_mark((int)was - 1, FD_KERNEL);
    }
    atomic_store(&own_seen, 0);
}
