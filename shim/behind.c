#include "behind.h"

#include <errno.h>

#include "listener.h"
#include "raw.h"

static int socket_like(int fd)
{
    int domain = AF_INET;
    socklen_t n = sizeof domain;
    RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
    return (int)RAW(SYS_socket, domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int behind_judged(int fd, int level, int name, const void *val, socklen_t len)
{
    int other = socket_like(fd);
    if (other < 0)
        return -ENOPROTOOPT;
    long r = RAW(SYS_setsockopt, other, level, name, val, len);
    RAW(SYS_close, other);
    return (int)r;
}

static void put(int fd, struct file *f, void *socket)
{
    if (!fd_hold(fd))
        return;
    long flags = RAW(SYS_fcntl, fd, F_GETFD);
    if (flags >= 0 && file_is(f, fd))
        RAW(SYS_dup3, *(int *)socket, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    fd_unhold(fd);
}

bool behind_own(struct file *f)
{
    int fd = atomic_load(&f->fd);
    if (!placeholder_is(fd))
        return true;
    int own = socket_like(fd);
    if (own < 0)
        return false;
    fd_each(f, put, &own);
    RAW(SYS_close, own);
    return true;
}
