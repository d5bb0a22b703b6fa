// The calls that read and write plain buffers. Each asks the fd map, then goes to libc or to conn_io.
#include <errno.h>

#include "conn_io.h"

INTERPOSE ssize_t read(int fd, void *b, size_t n)
{
    struct file *f = conn_get(fd);
    return f ? conn_recv(fd, f, &(struct iovec){ b, n }, 1, IO_READ, NULL) : real.read(fd, b, n);
}

INTERPOSE ssize_t readv(int fd, const struct iovec *v, int n)
{
    struct file *f = conn_get(fd);
    return f ? conn_recv(fd, f, v, n, IO_READ, NULL) : real.readv(fd, v, n);
}

INTERPOSE ssize_t recv(int fd, void *b, size_t n, int flags)
{
    struct file *f = conn_get(fd);
    return f ? conn_recv(fd, f, &(struct iovec){ b, n }, 1, flags & ~IO_READ, NULL) : real.recv(fd, b, n, flags);
}

INTERPOSE ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    struct file *f = conn_get(fd);
    if (!f)
        return real.recvfrom(fd, b, n, flags, sa, len);
    ssize_t r = conn_recv(fd, f, &(struct iovec){ b, n }, 1, flags & ~IO_READ, NULL);
    if (r >= 0 && sa && len)
        *len = 0; // TCP names no sender
    return r;
}

INTERPOSE ssize_t write(int fd, const void *b, size_t n)
{
    struct file *f = conn_get_out(fd);
    return f ? conn_send(fd, f, &(struct iovec){ (void *)b, n }, 1, 0) : real.write(fd, b, n);
}

INTERPOSE ssize_t writev(int fd, const struct iovec *v, int n)
{
    struct file *f = conn_get_out(fd);
    return f ? conn_send(fd, f, v, n, 0) : real.writev(fd, v, n);
}

INTERPOSE ssize_t send(int fd, const void *b, size_t n, int flags)
{
    struct file *f = conn_get_out(fd);
    return f ? conn_send(fd, f, &(struct iovec){ (void *)b, n }, 1, flags) : real.send(fd, b, n, flags);
}

INTERPOSE ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    struct file *f = conn_get_out(fd);
    struct iovec v = { (void *)b, n };
    ssize_t r;
    if (!f && flags & MSG_FASTOPEN && connect_data(fd, sa, len, &v, 1, flags, &r))
        return r;
    return f ? conn_send(fd, f, &v, 1, flags) : real.sendto(fd, b, n, flags, sa, len);
}

// A socket has no position: only the offset -1 is allowed, and of the flags only "do not wait".
static int at_flags(off_t off, int flags)
{
    if (off != -1)
        errno = ESPIPE;
    else if (flags & ~(RWF_HIPRI | RWF_NOWAIT))
        errno = EOPNOTSUPP;
    else
        return flags & RWF_NOWAIT ? MSG_DONTWAIT : 0;
    return -1;
}

INTERPOSE ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    struct file *f = conn_get(fd);
    if (!f)
        return real.preadv2(fd, v, n, off, flags);
    int how = at_flags(off, flags);
    if (how >= 0)
        return conn_recv(fd, f, v, n, how | IO_READ, NULL);
    file_put(f);
    return -1;
}

INTERPOSE ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    struct file *f = conn_get(fd);
    if (!f)
        return real.pwritev2(fd, v, n, off, flags);
    int how = at_flags(off, flags);
    if (how >= 0)
        return conn_send(fd, f, v, n, how);
    file_put(f);
    return -1;
}

INTERPOSE ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t off, int flags) { return preadv2(fd, v, n, off, flags); }
INTERPOSE ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t off, int flags) { return pwritev2(fd, v, n, off, flags); }
