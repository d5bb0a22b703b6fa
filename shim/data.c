// The calls that read and write plain buffers. Each asks the fd map, then goes to libc, to conn_io or to kconn_io.
#include <errno.h>
#include <limits.h>

#include "conn_io.h"
#include "iov.h"
#include "kconn.h"
#include "probe.h"
#include "raw.h"

// gated: after conn_get found nothing: the kernel has it, and the engine may take it (or has taken it between the two looks).
static inline bool gated(int fd) { return __builtin_expect(fd_load(fd) != 0, 0) && (fd_kind(fd) == FD_KCONN || fd_kind(fd) == FD_CONN); }

INTERPOSE ssize_t read(int fd, void *b, size_t n)
{
    struct file *f = conn_get_staged(fd);
    if (f)
        return conn_recv(fd, f, &(struct iovec){ b, n }, 1, IO_READ, NULL);
    return gated(fd) ? kconn_recv(fd, &(struct iovec){ b, n }, 1, IO_READ, NULL) : real.read(fd, b, n);
}

// vector_there: else the kernel says what is wrong with it. f is given back.
static bool vector_there(struct file *f, const struct iovec *v, int n)
{
    if (n <= 0 || n > IOV_MAX || probe_there(v, (size_t)n * sizeof *v))
        return true;
    file_put(f);
    return false;
}

INTERPOSE ssize_t readv(int fd, const struct iovec *v, int n)
{
    struct file *f = conn_get_staged(fd);
    if ((!f && !gated(fd)) || !vector_there(f, v, n))
        return real.readv(fd, v, n);
    return f ? conn_recv(fd, f, v, n, IO_READ, NULL) : kconn_recv(fd, v, n, IO_READ, NULL);
}

INTERPOSE ssize_t recv(int fd, void *b, size_t n, int flags)
{
    struct file *f = conn_get_staged(fd);
    if (f)
        return conn_recv(fd, f, &(struct iovec){ b, n }, 1, flags & ~IO_OWN, NULL);
    return gated(fd) ? kconn_recv(fd, &(struct iovec){ b, n }, 1, flags & ~IO_OWN, NULL) : real.recv(fd, b, n, flags);
}

// nothing: a vector without an octet. The kernel writes it without asking the socket (a write of nothing asks).
static bool nothing(const struct iovec *v, int n) { return iov_total(v, n) == 0; }

// nameless: TCP names no sender. An address without room is noticed after the octets were taken, as in the kernel.
static ssize_t nameless(ssize_t r, socklen_t *len)
{
    static const socklen_t none = 0;
    socklen_t room = 0;
    if (!probe_copy(&room, len, sizeof room) || (int)room < 0 || !probe_copy(len, &none, sizeof none)) {
        errno = (int)room < 0 ? EINVAL : EFAULT;
        return -1;
    }
    return r;
}

INTERPOSE ssize_t recvfrom(int fd, void *b, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    struct file *f = conn_get_staged(fd);
    if (!f && !gated(fd))
        return real.recvfrom(fd, b, n, flags, sa, len);
    struct iovec v = { b, n };
    ssize_t r = f ? conn_recv(fd, f, &v, 1, flags & ~IO_OWN, NULL) : kconn_recv(fd, &v, 1, flags & ~IO_OWN, NULL);
    return r >= 0 && sa ? nameless(r, len) : r;
}

INTERPOSE ssize_t write(int fd, const void *b, size_t n)
{
    struct file *f = conn_get_staged(fd);
    if (f)
        return conn_send(fd, f, &(struct iovec){ (void *)b, n }, 1, 0);
    return gated(fd) ? kconn_send(fd, &(struct iovec){ (void *)b, n }, 1, IO_READ) : real.write(fd, b, n);
}

INTERPOSE ssize_t writev(int fd, const struct iovec *v, int n)
{
    struct file *f = conn_get_staged(fd);
    if ((!f && !gated(fd)) || !vector_there(f, v, n))
        return real.writev(fd, v, n);
    if ((f || fd_kind(fd) == FD_KCONN) && nothing(v, n)) {
        file_put(f);
        return 0;
    }
    return f ? conn_send(fd, f, v, n, 0) : kconn_send(fd, v, n, IO_READ);
}

INTERPOSE ssize_t send(int fd, const void *b, size_t n, int flags)
{
    struct file *f = conn_get_staged(fd);
    if (f)
        return conn_send(fd, f, &(struct iovec){ (void *)b, n }, 1, flags);
    return gated(fd) ? kconn_send(fd, &(struct iovec){ (void *)b, n }, 1, flags & ~IO_READ) : real.send(fd, b, n, flags);
}

INTERPOSE ssize_t sendto(int fd, const void *b, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    struct file *f = conn_get_staged(fd);
    struct iovec v = { (void *)b, n };
    ssize_t r;
    if ((f || gated(fd)) && sa && (len > sizeof(struct sockaddr_storage) || !probe_there(sa, len))) { // it counts for nothing, but is looked at
        file_put(f);
        return real.sendto(fd, b, n, flags, sa, len);
    }
    if ((f || gated(fd)) && flags & MSG_FASTOPEN && sa && len < sizeof sa->sa_family) { // it would connect
        file_put(f);
        return raw_result(-EINVAL);
    }
    if (f)
        return conn_send(fd, f, &v, 1, flags);
    if (gated(fd))
        return kconn_send(fd, &v, 1, flags & ~IO_READ);
    if (flags & MSG_FASTOPEN && connect_data(fd, sa, len, &v, 1, flags, &r))
        return r;
    return real.sendto(fd, b, n, flags, sa, len);
}

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

// A socket has no position: only the offset -1 is allowed. Of the flags "do not wait" counts, the others of files are let pass.
static int at_flags(off_t off, int flags)
{
    if (off != -1)
        errno = off < 0 ? EINVAL : ESPIPE;
    else if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND))
        errno = EOPNOTSUPP;
    else if ((flags & (RWF_APPEND | RWF_NOAPPEND)) == (RWF_APPEND | RWF_NOAPPEND))
        errno = EINVAL;
    else
        return flags & RWF_NOWAIT ? MSG_DONTWAIT : 0;
    return -1;
}

INTERPOSE ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    struct file *f = conn_get_staged(fd);
    if ((!f && !gated(fd)) || !vector_there(f, v, n))
        return real.preadv2(fd, v, n, off, flags);
    int how = at_flags(off, flags);
    if (how >= 0)
        return f ? conn_recv(fd, f, v, n, how | IO_READ, NULL) : kconn_recv(fd, v, n, how | IO_READ, NULL);
    file_put(f);
    return -1;
}

INTERPOSE ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    struct file *f = conn_get_staged(fd);
    if ((!f && !gated(fd)) || !vector_there(f, v, n))
        return real.pwritev2(fd, v, n, off, flags);
    int how = at_flags(off, flags);
    if (off == -1 && (f || fd_kind(fd) == FD_KCONN) && nothing(v, n)) {
        file_put(f);
        return 0;
    }
    if (how >= 0)
        return f ? conn_send(fd, f, v, n, how) : kconn_send(fd, v, n, how | IO_READ);
    file_put(f);
    return -1;
}

INTERPOSE ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t off, int flags) { return preadv2(fd, v, n, off, flags); }
INTERPOSE ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t off, int flags) { return pwritev2(fd, v, n, off, flags); }
