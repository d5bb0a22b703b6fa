// The loops behind receiving and sending on a connection that the kernel has and the engine may take.
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "clock.h"
#include "conn_io.h"
#include "iov.h"
#include "kconn.h"
#include "raw.h"
#include "wait_run.h"

#define PIECE 64

struct wait_kconn {
    struct wait wait;
    struct file *k;
};

static bool peek(struct wait *w) { return kconn_moving(((struct wait_kconn *)w)->k); }

static int check(struct wait *w)
{
    if (peek(w))
        return 1;
    if (w->kernel < 0)
        w->kernel = real.poll(w->fds, 1, 0);
    return w->kernel > 0;
}

static bool arm(struct wait *w, struct frame *f)
{
    (void)w, (void)f;
    return true; // the kernel wakes us, and a move everybody
}

static void cancelled(struct wait *w)
{
    struct file *k = ((struct wait_kconn *)w)->k;
    file_put(k);
}

int kconn_wait(int fd, struct file *k, short events, int64_t timeout_ns, short *revents)
{
    struct wait_kconn o = {
        .wait = { .check = check, .peek = peek, .arm = arm, .release = cancelled, .kernel = -1, .shared = shared(), .restart = timeout_ns < 0,
                  .deadline = timeout_ns < 0 ? -1 : now_ns() + timeout_ns, .nfds = 1 },
        .k = k,
    };
    struct pollfd fds[1 + SLEEP_MORE];
    fds[0] = (struct pollfd){ .fd = fd, .events = events };
    o.wait.fds = fds;
    int r = o.wait.shared ? wait_run(&o.wait) : real.poll(fds, 1, timeout_ns < 0 ? -1 : (int)(timeout_ns / 1000000));
    *revents = fds[0].revents;
    return r;
}

// A call in progress.
struct kcall {
    int fd, flags;
    struct iov_rest rest;
    size_t want, done;
    struct msghdr *m; // recvmsg's, NULL
    int64_t until;    // 0: the time-out has not begun
    int tries;
};

// may_block asks the kernel: the flag is its own to keep.
static bool may_block(const struct kcall *c)
{
    long fl = c->flags & MSG_DONTWAIT ? -1 : RAW(SYS_fcntl, c->fd, F_GETFL);
    return fl >= 0 && !(fl & O_NONBLOCK);
}

static int64_t timeout_of(int fd, int name)
{
    struct timeval tv = { 0, 0 };
    socklen_t n = sizeof tv;
    RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &tv, &n);
    return (int64_t)tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
}

// wait_more: 1: try again; else an errno, negative: the call's end.
static int wait_more(struct kcall *c, short events, int timeout_name)
{
    int64_t left = -1, limit = timeout_of(c->fd, timeout_name);
    if (limit > 0) {
        if (c->until == 0)
            c->until = now_ns() + limit;
        left = c->until - now_ns();
        if (left <= 0)
            return -EAGAIN;
    } else if (c->done > 0 || c->flags & IO_LATER) {
        left = INT64_MAX / 4; // any handler interrupts a wait with a limit
    }
    struct file *k = file_get(c->fd);
    if (!k || k->kind != FD_KCONN) {
        file_put(k);
        return 1;
    }
    short got = 0;
    unsigned before = left < 0 ? sig_plain : sig_any;
    int r = kconn_wait(c->fd, k, events, left, &got);
    file_put(k);
    if (r > 0 && got & POLLNVAL && before != (left < 0 ? sig_plain : sig_any)) // closed by another thread meanwhile, which wakes nobody
        return -EINTR;
    if (r > 0 && c->done > 0 && got & POLLERR)
        return -EAGAIN; // the error is left for the next call
    return r == 0 ? -EAGAIN : r;
}

static ssize_t ended(const struct kcall *c, ssize_t err) { return c->done > 0 ? (ssize_t)c->done : raw_result(err); }

// attempt does one call inside the gate, without waiting. False: the connection is elsewhere now.
// *full: it was given a part of the buffers, which is used up.
static bool attempt(struct kcall *c, bool receive, ssize_t *r, bool *full)
{
    struct iovec piece[PIECE];
    struct msghdr m = { 0 };
    struct file *k = kconn_enter(c->fd);
    if (!k)
        return false;
    if (c->m && c->done == 0)
        m = *c->m;
    int flags = (c->flags & ~IO_OWN) | MSG_DONTWAIT, n = c->rest.n;
    m.msg_iov = (struct iovec *)c->rest.iov;
    if (c->rest.skip > 0)
        m.msg_iov = piece, n = iov_view(&c->rest, piece, PIECE);
    m.msg_iovlen = (size_t)n;
    if (receive)
        *r = RAW(SYS_recvmsg, c->fd, &m, flags);
    else
        *r = RAW(SYS_sendmsg, c->fd, &m, flags | (c->done > 0 ? MSG_NOSIGNAL : 0) | (c->rest.n > n ? MSG_MORE : 0));
    kconn_leave(k);
    *full = n < c->rest.n && *r > 0 && (size_t)*r == iov_sum(piece, n);
    if (receive && c->m && c->done == 0 && *r >= 0)
        c->m->msg_namelen = m.msg_namelen, c->m->msg_controllen = m.msg_controllen, c->m->msg_flags = m.msg_flags & ~MSG_DONTWAIT;
    return true;
}

// goal: how many octets a blocking receive waits for.
static size_t goal(const struct kcall *c)
{
    int low = 1;
    socklen_t n = sizeof low;
    if (c->flags & MSG_WAITALL)
        return c->want;
    RAW(SYS_getsockopt, c->fd, SOL_SOCKET, SO_RCVLOWAT, &low, &n);
    return (size_t)low < c->want ? (size_t)low : c->want;
}

// What is no connection of ours, but is ours in another way (a listener, an epoll set), or has been closed.
static ssize_t plain_recv(struct kcall *c, struct iovec *v, int n)
{
    struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n };
    if (c->m && c->done == 0)
        return real.recvmsg(c->fd, c->m, c->flags & ~IO_OWN);
    return c->flags & IO_READ ? real.readv(c->fd, v, n) : real.recvmsg(c->fd, &m, c->flags & ~IO_OWN);
}

static ssize_t plain_send(struct kcall *c, struct iovec *v, int n)
{
    struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n };
    return c->flags & IO_READ ? real.writev(c->fd, v, n) : real.sendmsg(c->fd, &m, c->flags);
}

// enough: a receive has what it waits for, and takes only what is there for buffers that are left.
static bool enough(const struct kcall *c, struct file *f)
{
    size_t low = (size_t)atomic_load(&f->rcv_lowat);
    return c->done > 0 && !(c->flags & MSG_WAITALL) && (c->done >= low || c->done >= c->want);
}

// go_on does the rest of the call in the engine, or as libc would if fd is nothing of ours. False: it is such a connection again.
static bool go_on(struct kcall *c, bool receive, ssize_t *result)
{
    struct iovec piece[PIECE];
    int n = iov_view(&c->rest, piece, PIECE);
    struct sl_recvinfo info = { 0 };
    struct file *f = conn_get(c->fd);
    ssize_t r;
    struct trip trip = { .until = c->until };
    enum fd_kind kind = fd_kind(c->fd);
    if (!f && (kind == FD_KCONN || kind == FD_CONN) && ++c->tries < 1000) // it comes and goes
        return false;
    if (receive)
        r = f ? conn_recv_part(c->fd, f, piece, n, c->flags | (enough(c, f) ? MSG_DONTWAIT : 0), &info, &trip) : plain_recv(c, piece, n);
    else
        r = f ? conn_send_part(c->fd, f, piece, n, c->flags & ~IO_READ, &trip) : plain_send(c, piece, n);
    if (f && c->m && c->done == 0 && r >= 0)
        c->m->msg_namelen = 0, c->m->msg_controllen = 0, c->m->msg_flags = (int)info.msg_flags;
    if (trip.moved || (f && n < c->rest.n && r > 0 && (size_t)r == iov_sum(piece, n))) { // or there are buffers more
        c->until = trip.until ? trip.until : c->until;
        c->done += (size_t)r;
        iov_advance(&c->rest, (size_t)r);
        return false;
    }
    *result = r < 0 ? (c->done > 0 ? (ssize_t)c->done : r) : (ssize_t)c->done + r;
    return true;
}

// peek_all: MSG_PEEK with MSG_WAITALL looks again each millisecond for more.
static bool peek_all(struct kcall *c, ssize_t r)
{
    struct timespec ms = { 0, 1000000 };
    unsigned any = sig_any;
    if (!(c->flags & MSG_WAITALL) || r == 0 || (size_t)r >= c->want || !may_block(c))
        return false;
    if (c->until == 0 && timeout_of(c->fd, SO_RCVTIMEO) > 0)
        c->until = now_ns() + timeout_of(c->fd, SO_RCVTIMEO);
    return RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ms, NULL) == 0 && sig_any == any && (c->until == 0 || now_ns() < c->until);
}

// failed: a receive would tell the connection's error. To recvmmsg(2) that has a message it is left for the next call.
static bool failed(int fd)
{
    struct pollfd p = { .fd = fd };
    int unread = 0;
    return RAW(SYS_poll, &p, 1, 0) == 1 && p.revents & POLLERR && RAW(SYS_ioctl, fd, FIONREAD, &unread) == 0 && unread == 0;
}

void kconn_keep(int fd, int err)
{
    struct iovec none = { 0 };
    struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &none, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = (void *)8, .msg_iovlen = err == EFAULT ? 1 : IOV_MAX + 1 } } };
    struct file *k = err == EFAULT || err == EMSGSIZE ? kconn_enter(fd) : NULL; // not the connection's: the kernel's own call meets it after a message of nothing
    if (!k)
        return;
    RAW(SYS_recvmmsg, fd, m, 2, MSG_DONTWAIT, NULL);
    kconn_leave(k);
}

ssize_t kconn_recv(int fd, const struct iovec *iov, int n, int flags, struct msghdr *m)
{
    return kconn_recv_rest(fd, (struct iov_rest){ iov, n, 0 }, flags, m, 0);
}

ssize_t kconn_recv_rest(int fd, struct iov_rest rest, int flags, struct msghdr *m, int64_t until)
{
    struct kcall c = { .fd = fd, .flags = flags, .rest = rest, .m = m, .until = until };
    ssize_t want = iov_left(&rest);
    if (want < 0)
        return raw_result(-EINVAL);
    if (want == 0 && flags & IO_READ && fd_kind(fd) == FD_KCONN)
        return 0;
    iov_advance(&c.rest, 0); // a piece of empty buffers alone would look like the end
    for (c.want = (size_t)want;;) {
        ssize_t r;
        bool full;
        if (flags & IO_LATER && c.done == 0 && failed(fd))
            return raw_result(-EAGAIN);
        if (!attempt(&c, true, &r, &full)) {
            if (go_on(&c, true, &r))
                return r;
            continue;
        }
        if (r >= 0 && flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) {
            if (flags & MSG_PEEK && peek_all(&c, r))
                continue;
            return r;
        }
        if (r == 0 || (r < 0 && r != -EAGAIN))
            return r == 0 ? (ssize_t)c.done : ended(&c, r);
        if (r > 0) {
            c.done += (size_t)r;
            iov_advance(&c.rest, (size_t)r);
        }
        if (r > 0 && c.done >= c.want)
            return (ssize_t)c.done;
        if (full && !(flags & (MSG_OOB | MSG_ERRQUEUE)))
            continue;
        if (flags & (MSG_OOB | MSG_ERRQUEUE) || !may_block(&c) || (c.done > 0 && c.done >= goal(&c)))
            return ended(&c, -EAGAIN);
        int w = r > 0 ? 1 : wait_more(&c, POLLIN | POLLRDHUP, SO_RCVTIMEO);
        if (want == 0) { // it waits once, and that was all
            if (m)
                m->msg_namelen = 0, m->msg_controllen = 0, m->msg_flags = 0;
            return 0;
        }
        if (w < 0)
            return ended(&c, w);
    }
}

ssize_t kconn_send(int fd, const struct iovec *iov, int n, int flags)
{
    return kconn_send_rest(fd, (struct iov_rest){ iov, n, 0 }, flags, 0);
}

ssize_t kconn_send_rest(int fd, struct iov_rest rest, int flags, int64_t until)
{
    struct kcall c = { .fd = fd, .flags = flags, .rest = rest, .until = until };
    ssize_t want = iov_left(&rest);
    if (want < 0)
        return raw_result(-EINVAL);
    iov_advance(&c.rest, 0);
    for (c.want = (size_t)want;;) {
        ssize_t r;
        bool full;
        if (!attempt(&c, false, &r, &full)) {
            if (go_on(&c, false, &r))
                return r;
            continue;
        }
        if (r < 0 && r != -EAGAIN)
            return ended(&c, r);
        if (r > 0) {
            c.done += (size_t)r;
            iov_advance(&c.rest, (size_t)r);
        }
        if (c.done >= c.want)
            return (ssize_t)c.done;
        if (full)
            continue;
        if (!may_block(&c))
            return ended(&c, -EAGAIN);
        int w = wait_more(&c, POLLOUT, SO_SNDTIMEO);
        if (w < 0)
            return ended(&c, w);
    }
}
