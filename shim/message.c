// The calls with a struct msghdr: scattered buffers, control messages, many at once.
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

#include "fresh.h"
#include "clock.h"
#include "conn_io.h"
#include "kconn.h"
#include "listener.h"
#include "knobs.h"
#include "probe.h"
#include "raw.h"

// tell_inq adds TCP_INQ's control message: how much is left to read.
static void tell_inq(struct msghdr *m, size_t room, int inq)
{
    struct cmsghdr *h = m->msg_control;
    if (!h || room < CMSG_LEN(sizeof inq)) {
        m->msg_flags |= MSG_CTRUNC;
        return;
    }
    struct { struct cmsghdr h; int inq; } tell = { { .cmsg_len = CMSG_LEN(sizeof inq), .cmsg_level = IPPROTO_TCP, .cmsg_type = TCP_CM_INQ }, inq };
    if (!probe_copy(h, &tell, CMSG_LEN(sizeof inq)))
        return;
    m->msg_controllen = room < CMSG_SPACE(sizeof inq) ? room : CMSG_SPACE(sizeof inq);
}

// conn_recvmsg: TCP names no sender, and of control messages only TCP_INQ's is ours: other options hand the connection over.
static ssize_t conn_recvmsg(int fd, struct file *f, struct msghdr *m, int flags, int how)
{
    struct sl_recvinfo info = { 0 };
    int count = m->msg_iovlen > INT_MAX ? -1 : (int)m->msg_iovlen;
    if (count < 0 || count > IOV_MAX) {
        file_put(f);
        errno = EMSGSIZE;
        return -1;
    }
    bool inq = f->inq;
    ssize_t r = conn_recv(fd, f, m->msg_iov, count, (flags & ~IO_OWN) | how, &info);
    if (r < 0)
        return r;
    if (m->msg_name)
        m->msg_namelen = 0;
    size_t room = m->msg_controllen;
    m->msg_controllen = 0;
    m->msg_flags = (int)info.msg_flags | (flags & MSG_CMSG_CLOEXEC);
    if (inq)
        tell_inq(m, room, (int)info.inq);
    return r;
}

// Descriptors that came over a unix socket may be listeners.
static void received_fds(struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= h->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
            listener_adopt(new_fd(fd));
        }
    }
}

// looks: a descriptor that leaves may concern us.
static bool looks(void)
{
    return atomic_load_explicit(&fd_files, memory_order_relaxed) != 0 || atomic_load_explicit(&fresh_some, memory_order_relaxed);
}

// Descriptors that leave over a unix socket become the kernel's first: their receiver knows nothing of our engine.
static void sent_fds(const struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS || h->cmsg_len < CMSG_LEN(0))
            continue;
        for (size_t at = 0; at + sizeof(int) <= h->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
            listener_give(fd);
            handover_for_good(fd);
        }
    }
}

// there: a copy of the program's header, whose vector (and control messages, if they are sent) can be read. False: the kernel says what is
// wrong with it.
static bool there(struct msghdr *own, const struct msghdr *m, bool sent)
{
    return probe_copy(own, m, sizeof *own) && (own->msg_iovlen > IOV_MAX || probe_there(own->msg_iov, own->msg_iovlen * sizeof *own->msg_iov))
        && (!sent || !own->msg_control || probe_there(own->msg_control, own->msg_controllen));
}

// recv_ours is recvmsg on a connection of the engine, or one that the engine may take. how: IO_LATER, 0.
static ssize_t recv_ours(int fd, struct file *f, struct msghdr *m, struct msghdr *own, int flags, int how)
{
    ssize_t r = f ? conn_recvmsg(fd, f, own, flags, how) : kconn_recv(fd, own->msg_iov, (int)own->msg_iovlen, (flags & ~IO_OWN) | how, own);
    if (r >= 0)
        own->msg_flags |= flags & MSG_CMSG_CLOEXEC; // as the kernel tells it
    return r < 0 || probe_copy(m, own, sizeof *m) ? r : raw_result(-EFAULT);
}

static ssize_t recv_one(int fd, struct msghdr *m, int flags, int how)
{
    struct msghdr own;
    if (fd_load(fd) != 0 && there(&own, m, false)) {
        struct file *f = conn_get_staged(fd);
        if (f || own.msg_iovlen <= IOV_MAX)
            return recv_ours(fd, f, m, &own, flags, how);
    }
    ssize_t r = real.recvmsg(fd, m, flags);
    if (r >= 0 && m->msg_controllen > 0 && knobs.on)
        received_fds(m);
    return r;
}

INTERPOSE ssize_t recvmsg(int fd, struct msghdr *m, int flags) { return recv_one(fd, m, flags, 0); }

INTERPOSE ssize_t sendmsg(int fd, const struct msghdr *given, int flags)
{
    struct msghdr own;
    const struct msghdr *m;
    struct file *f;
look:
    m = given;
    if (looks()) {
        if (!there(&own, given, true))
            return real.sendmsg(fd, given, flags);
        m = &own;
    }
    f = conn_get_staged(fd);
    if (fd_load(fd) != 0 && m->msg_name && (int)m->msg_namelen < 0) {
        file_put(f);
        errno = EINVAL;
        return -1;
    }
    if (f && m->msg_controllen > 0 && conn_handover(fd, f) == 0) { // options for one segment: the kernel's business
        file_put(f);
        f = NULL;
    }
    if (f && m->msg_iovlen > IOV_MAX) {
        file_put(f);
        errno = EMSGSIZE;
        return -1;
    }
    ssize_t r;
    if (f)
        return conn_send(fd, f, m->msg_iov, (int)m->msg_iovlen, flags);
    if (fd_load(fd) != 0 && m->msg_controllen == 0 && m->msg_iovlen <= IOV_MAX)
        return kconn_send(fd, m->msg_iov, (int)m->msg_iovlen, flags & ~IO_READ);
    if (flags & MSG_FASTOPEN && m->msg_controllen == 0
        && connect_data(fd, m->msg_name, m->msg_namelen, m->msg_iov, m->msg_iovlen, flags, &r))
        return r;
    if (m == &own && m->msg_controllen > 0)
        sent_fds(m);
    return BY_KERNEL_OR(fd, raw_result(RAW(SYS_sendmsg, fd, m, flags)), real.sendmsg(fd, m, flags), look);
}

// nth is the header of one of them; the array may be NULL, of which C takes no member's address.
static struct msghdr *nth(struct mmsghdr *m, unsigned int i)
{
    return (struct msghdr *)((uintptr_t)m + i * sizeof *m);
}

// counted tells the program how much the i-th had. False, and EFAULT: it is told nothing, and the message does not count.
static bool counted(struct mmsghdr *m, unsigned int i, ssize_t r)
{
    unsigned int len = (unsigned int)r;
    bool told = probe_copy((char *)nth(m, i) + offsetof(struct mmsghdr, msg_len), &len, sizeof len);
    if (!told)
        errno = EFAULT;
    return told;
}

// keep: "recvmsg returns an error after we received some datagrams, where we record the error to return on the next call or if the app asks about it
// using getsockopt(SO_ERROR)" do_recvmmsg. A wait that a signal ended is recorded as the kernel has it inside.
static void keep(int fd, int err)
{
    enum { ERESTARTSYS = 512 };
    struct file *f = err == EAGAIN ? NULL : conn_get(fd);
    if (!f) {
        kconn_keep(fd, err);
        return;
    }
    if (err == EINTR && atomic_load(&f->rcv_timeout_ns) == 0)
        err = ERESTARTSYS;
    ENGINE(sl_setsockopt, atomic_load(&f->handle), SOL_SOCKET, SO_ERROR, &err, sizeof err);
    file_put(f);
}

INTERPOSE int recvmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags, struct timespec *limit)
{
    if ((fd_kind(fd) != FD_CONN && fd_kind(fd) != FD_KCONN) || (limit && !probe_there(limit, sizeof *limit)))
        return real.recvmmsg(fd, m, n, flags, limit);
    int err = 0;
    socklen_t size = sizeof err;
    if (!(flags & MSG_ERRQUEUE) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err != 0) // the kernel looks at the error before all else
        return (int)raw_result(-err);
    if (!probe_there(m, n ? sizeof *m : 0))
        return (int)raw_result(-EFAULT);
    int64_t until = limit ? now_ns() + (int64_t)limit->tv_sec * 1000000000 + limit->tv_nsec : 0;
    unsigned int got = 0;
    while (got < n) {
        ssize_t r = recv_one(fd, nth(m, got), flags & ~MSG_WAITFORONE, got > 0 ? IO_LATER : 0);
        if (r < 0 || !counted(m, got, r)) {
            if (got > 0)
                keep(fd, errno);
            break;
        }
        got++;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (limit && now_ns() >= until) // looked at after each message, as the kernel does
            break;
        if (m[got - 1].msg_hdr.msg_flags & MSG_OOB)
            break;
    }
    if (limit) {
        int64_t left = until - now_ns();
        left = left > 0 ? left : 0;
        struct timespec rest = { left / 1000000000, left % 1000000000 };
        if (got > 0 && !probe_copy(limit, &rest, sizeof rest))
            return (int)raw_result(-EFAULT);
    }
    return got > 0 || n == 0 ? (int)got : -1;
}

INTERPOSE int sendmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags)
{
    if (fd_kind(fd) != FD_CONN && fd_kind(fd) != FD_KCONN) {
        struct msghdr own;
        for (unsigned int i = 0; i < n && looks(); i++)
            if (there(&own, nth(m, i), true) && own.msg_controllen > 0)
                sent_fds(&own);
        return real.sendmmsg(fd, m, n, flags);
    }
    unsigned int sent = 0;
    while (sent < n) {
        ssize_t r = sendmsg(fd, nth(m, sent), flags);
        if (r < 0 || !counted(m, sent, r))
            break;
        sent++;
    }
    return sent > 0 || n == 0 ? (int)sent : -1;
}
