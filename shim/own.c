// Sluice's own descriptors in the program's table: high numbers, unseen by the program.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include "fdmap.h"
#include "file.h"
#include "own.h"
#include "raw.h"
#include "rules.h"

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

bool own_evict(int fd)
{
    if (fd_kind(fd) != FD_OWN)
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
        return true;
    }
    return false; // the engine's: it can't be moved
}

// The engine opens descriptors by itself, from own_base() on. What is there after it ran and was not before is its own.
static uint64_t before[(FD_PAGE + 63) / 64];

struct dirent64_head {
    uint64_t ino;
    int64_t off;
    unsigned short len;
    unsigned char type;
    char name[];
};

static void each_open(int base, void (*fn)(int fd, int base))
{
    char buf[4096];
    long dir = RAW(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) { // no /proc (chroot): ask for each number
        for (int fd = base; fd < base + FD_PAGE; fd++)
            if (RAW(SYS_fcntl, fd, F_GETFD) >= 0)
                fn(fd, base);
        return;
    }
    for (long n; (n = RAW(SYS_getdents64, dir, buf, sizeof buf)) > 0;)
        for (long at = 0; at < n; at += ((struct dirent64_head *)(buf + at))->len) {
            const char *name = ((struct dirent64_head *)(buf + at))->name;
            int fd = (int)number(name, (int)strlen(name), FD_MAX);
            if (fd >= base && fd < base + FD_PAGE && fd != dir)
                fn(fd, base);
        }
    RAW(SYS_close, dir);
}

static void note(int fd, int base)
{
    before[(fd - base) / 64] |= 1ull << (fd - base) % 64;
}

static void scan(int fd, int base)
{
    if (fd_load(fd) == 0 && !(before[(fd - base) / 64] & 1ull << (fd - base) % 64))
        fd_mark(fd, FD_OWN);
}

void own_note(void)
{
    memset(before, 0, sizeof before);
    each_open(own_base(), note);
}

void own_scan(void) { each_open(own_base(), scan); }
