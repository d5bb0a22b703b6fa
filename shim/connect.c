// connect: outgoing connections that SLUICE_CONNECT selects.
#include <errno.h>
#include <netinet/in.h>

#include "await.h"
#include "clock.h"
#include "conn_io.h"
#include "engine.h"
#include "fresh.h"
#include "iov.h"
#include "knobs.h"
#include "log.h"
#include "ours.h"
#include "ports.h"
#include "probe.h"
#include "raw.h"
#include "roam.h"
#include "wait.h"
#include "usdt.h"

static int option(int fd, int name)
{
    int v = 0;
    socklen_t n = sizeof v;
    return RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &v, &n) < 0 ? -1 : v;
}

static int64_t timeout(int fd, int name)
{
    struct timeval tv = { 0, 0 };
    socklen_t n = sizeof tv;
    RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &tv, &n);
    return (int64_t)tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
}

static int so_error(struct file *f)
{
    int err = 0;
    socklen_t n = sizeof err;
    int r = ENGINE(sl_getsockopt, atomic_load(&f->handle), SOL_SOCKET, SO_ERROR, &err, &n);
    return r < 0 && r > -4096 ? -r : err;
}

#define OVER (POLLOUT | POLLERR | POLLHUP) // the handshake is

static uint32_t ready(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    return s && h >= 0 ? atomic_load(&s->words[h].ready) : POLLERR;
}

// failed: the attempt is over; fd becomes the kernel's plain socket again, which it was all along.
static int failed(int fd, struct file *f, int err)
{
    epoll_fd_moved(fd, f);
    fd_drop(fd);
    file_put(f);
    errno = err;
    return -1;
}

// finish waits for the handshake's end as connect does; late: what it says when its time is over. f's reference is given back.
static int finish(int fd, struct file *f, int late)
{
    if (!(ready(f) & OVER)) {
        int64_t limit = atomic_load(&f->snd_timeout_ns);
        int r = wait_handle(fd, atomic_load(&f->handle), POLLOUT, limit > 0 ? limit : -1);
        if (r <= 0) {
            file_put(f);
            errno = r < 0 ? -r : late;
            return -1;
        }
    }
    int err = so_error(f);
    if (!err && ready(f) & POLLHUP)
        err = ECONNABORTED; // it failed, and SO_ERROR has told why before
    if (err)
        return failed(fd, f, err);
    f->connecting = false;
    file_put(f);
    return 0;
}

// again is connect on a connection that is ours already.
static int again(int fd, struct file *f)
{
    if (!f->connecting) {
        file_put(f);
        errno = EISCONN;
        return -1;
    }
    if (atomic_load(&f->nonblock) && !(ready(f) & OVER)) {
        file_put(f);
        errno = EALREADY;
        return -1;
    }
    return finish(fd, f, EALREADY);
}

// dissolve is connect to AF_UNSPEC: the connection ends, and its socket is as good as new: the kernel's.
static int dissolve(int fd, struct file *f, const struct sockaddr *sa, socklen_t n)
{
    int r = conn_handover(fd, f);
    file_put(f);
    if (r == 0)
        fd_drop(fd);
    return r == 0 ? real.connect(fd, sa, n) : (int)raw_result(r);
}

// kernels_connect: every port that the kernel chooses from may be on lease, or bound.
static int kernels_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    int r = real.connect(fd, sa, n);
    return r < 0 && errno == EADDRNOTAVAIL && ports_back(fd, NULL, 0) ? real.connect(fd, sa, n) : r;
}

static bool away(int fd)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (!roam_away(fd))
        return false;
    if (!atomic_flag_test_and_set(&told))
        log_line(LOG_ERROR, "connect: the socket is of another network namespace than the program; by the kernel");
    return true;
}

// selected: *how is sl_connect's: what is known of fd.
static bool selected(int fd, const struct sockaddr *sa, socklen_t n, int *how)
{
    if (!knobs.on || knobs.connect.n == 0 || fd <= 2 /* libc's streams use these unseen */ || n < sizeof sa->sa_family || n > sizeof(struct sockaddr_storage) || !probe_there(sa, n)
        || !rules_match(&knobs.connect, sa, n) || fd_load(fd) != 0 || away(fd))
        return false;
    *how = fresh_take(fd, sa->sa_family);
    return *how == SL_FRESH || (option(fd, SO_PROTOCOL) == IPPROTO_TCP && option(fd, SO_ACCEPTCONN) == 0 && !kernels_own(fd));
}

// What a SYN may take with it.
struct cargo {
    const struct iovec *iov;
    int n;
    size_t took;
};

// inherit gives f what was set on its socket and is ours to keep.
static void inherit(int fd, struct file *f)
{
    atomic_store(&f->rcv_timeout_ns, timeout(fd, SO_RCVTIMEO));
    atomic_store(&f->snd_timeout_ns, timeout(fd, SO_SNDTIMEO));
    f->inq = tcp_inq(fd);
    int lowat = option(fd, SO_RCVLOWAT);
    atomic_store(&f->rcv_lowat, lowat > 0 ? lowat : 1);
}

// bind_attempt makes fd what sl_connect returned. NULL: it returned nothing, or there is no memory.
static struct file *bind_attempt(int fd, int h, long flags)
{
    struct file *f = h < 0 ? NULL : conn_bind(fd, h & ~SL_DEFERRED, flags & O_NONBLOCK);
    if (f) {
        f->deferred = h & SL_DEFERRED;
        f->connecting = !f->deferred;
    }
    return f;
}

// start gives the attempt to the engine: its file, referenced, or NULL with *ret as connect's result (SL_KERNEL: the kernel's turn).
static struct file *start(int fd, const struct sockaddr *sa, socklen_t n, int how, struct cargo *c, int *ret)
{
    long flags = RAW(SYS_fcntl, fd, F_GETFL);
    *ret = SL_KERNEL;
    if (flags < 0 || flags & O_ASYNC) // SIGIO is the kernel's to send
        return NULL;
    if (!engine_need()) {
        await_engine();
        return NULL;
    }
    struct file *f = NULL; // bound before the SYN leaves: other threads may hear of the connection as soon as that comes back
    int h = c ? ENGINE_BEFORE(f = bind_attempt(fd, engine_ret, flags), sl_connect_data, fd, sa, n, c->iov, c->n, &c->took)
              : ENGINE_BEFORE(f = bind_attempt(fd, engine_ret, flags), sl_connect, fd, sa, n, flags & O_NONBLOCK ? how : how | SL_BLOCKS);
    PROBE(connect, fd, h);
    if (h < 0) {
        *ret = h > -4096 ? (int)raw_result(h) : SL_KERNEL;
        return NULL;
    }
    if (!f) {
        *ret = (int)raw_result(-ENOMEM);
        return NULL;
    }
    if (how != SL_FRESH)
        inherit(fd, f);
    epoll_fd_taken(fd, f);
    return f;
}

// bad_address: what the kernel says to an address before it looks at the socket.
static int bad_address(const struct sockaddr *sa, socklen_t n)
{
    if ((int)n < 0 || n > sizeof(struct sockaddr_storage))
        return -EINVAL;
    if (!probe_there(sa, n))
        return -EFAULT;
    return n < sizeof sa->sa_family ? -EINVAL : 0;
}

INTERPOSE int connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    struct file *f = conn_get(fd);
    if (f && (int)n >= (int)sizeof sa->sa_family && probe_there(sa, n) && sa->sa_family == AF_UNSPEC)
        return dissolve(fd, f, sa, n);
    int bad = f ? bad_address(sa, n) : 0;
    if (bad) {
        file_put(f);
        return (int)raw_result(bad);
    }
    if (f)
        return again(fd, f);
    int how;
    if (!selected(fd, sa, n, &how))
        return fresh_end(fd), kernels_connect(fd, sa, n);
    int ret;
    f = start(fd, sa, n, how, NULL, &ret);
    if (!f)
        fresh_end(fd); // the kernel's attempt leaves traces
    if (f && !f->deferred && atomic_load(&f->nonblock)) { // as the kernel: even if the answer is there already
        file_put(f);
        errno = EINPROGRESS;
        return -1;
    }
    if (f)
        return finish(fd, f, EINPROGRESS);
    return ret == SL_KERNEL ? kernels_connect(fd, sa, n) : ret;
}

// after_syn ends a send whose first took octets went with the SYN: a blocking one waits for the handshake and sends the rest, as the kernel's
// does. f's reference is given back.
static ssize_t after_syn(int fd, struct file *f, const struct iovec *iov, int n, int flags, size_t took)
{
    bool wait = !(flags & MSG_DONTWAIT) && !atomic_load(&f->nonblock);
    if (!wait)
        file_put(f);
    if (!wait || finish(fd, f, EINPROGRESS) < 0) {
        if (wait && errno != EINPROGRESS)
            return -1;
        errno = EINPROGRESS;
        return took > 0 ? (ssize_t)took : -1;
    }
    struct iov_rest rest = { iov, n, 0 };
    size_t done = took;
    for (iov_advance(&rest, took); rest.n > 0;) {
        struct iovec piece[64];
        struct msghdr m = { .msg_iov = piece, .msg_iovlen = (size_t)iov_view(&rest, piece, 64) };
        ssize_t r = sendmsg(fd, &m, flags & ~MSG_FASTOPEN);
        if (r <= 0)
            return done > 0 ? (ssize_t)done : r;
        done += (size_t)r;
        iov_advance(&rest, (size_t)r);
    }
    return (ssize_t)done;
}

bool connect_data(int fd, const struct sockaddr *sa, socklen_t n, const struct iovec *iov, size_t count, int flags, ssize_t *ret)
{
    int how;
    if (!sa || count > IOV_MAX || !selected(fd, sa, n, &how))
        return false;
    struct cargo c = { iov, (int)count, 0 };
    int r;
    struct file *f = start(fd, sa, n, how & ~SL_FRESH, &c, &r);
    if (!f)
        fresh_end(fd);
    if (!f && r == SL_KERNEL)
        return false;
    *ret = f ? after_syn(fd, f, iov, (int)count, flags, c.took) : r;
    return true;
}

ssize_t send_deferred(int fd, struct file *f, const struct iovec *iov, int n, int flags)
{
    f->deferred = false;
    f->connecting = true;
    ssize_t r = ENGINE(sl_send, atomic_load(&f->handle), iov, n, flags & ~MSG_FASTOPEN);
    if (r >= 0)
        return after_syn(fd, f, iov, n, flags, (size_t)r);
    file_put(f);
    return raw_result(r > -4096 ? r : -ENOTCONN);
}
