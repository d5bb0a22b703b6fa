#include "roam.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "raw.h"
#include "real.h"
#include "recycle.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static _Atomic uint64_t home; // the namespace's cookie, 0: not known (before Linux 5.14)
static _Atomic bool some;

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    return RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) < 0 ? 0 : cookie;
}

// leave: the calling thread is about to leave the namespace in which it, if it is the first to do so, and the engine are.
static void leave(void)
{
    if (!atomic_load(&some)) {
        long fd = RAW(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            atomic_store(&home, cookie_of((int)fd));
            RAW(SYS_close, fd);
        }
        atomic_store(&some, true);
    }
    recycle_flush();
}

bool roamed(void) { return atomic_load_explicit(&some, memory_order_relaxed); }

bool roam_away(int fd)
{
    uint64_t at = roamed() ? atomic_load(&home) : 0;
    return roamed() && (at == 0 || cookie_of(fd) != at);
}

INTERPOSE int setns(int fd, int type)
{
    if (type == 0 || type & CLONE_NEWNET)
        leave();
    return (int)raw_result(RAW(SYS_setns, fd, type));
}

INTERPOSE int unshare(int flags)
{
    if (flags & CLONE_NEWNET)
        leave();
    return (int)raw_result(RAW(SYS_unshare, flags));
}
