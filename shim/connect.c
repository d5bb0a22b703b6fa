// connect: outgoing connections that SLUICE_CONNECT selects.
#include <errno.h>
#include <netinet/in.h>

#include "clock.h"
#include "engine.h"
#include "knobs.h"
#include "ours.h"
#include "raw.h"
#include "wait.h"

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

// finish waits for the handshake's end as connect does. f's reference is given back.
static int finish(int fd, struct file *f)
{
    if (!(ready(f) & OVER)) {
        int64_t limit = atomic_load(&f->snd_timeout_ns);
        int r = wait_handle(fd, atomic_load(&f->handle), POLLOUT, limit > 0 ? limit : -1);
        if (r <= 0) {
            file_put(f);
            errno = r < 0 ? -r : EINPROGRESS;
            return -1;
        }
    }
    int err = so_error(f);
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
    return finish(fd, f);
}

static bool selected(int fd, const struct sockaddr *sa, socklen_t n)
{
    return knobs.on && knobs.connect.n > 0 && n >= sizeof sa->sa_family && rules_match(&knobs.connect, sa, n)
        && fd_load(fd) == 0 && option(fd, SO_PROTOCOL) == IPPROTO_TCP && option(fd, SO_ACCEPTCONN) == 0;
}

// start gives the attempt to the engine: its file, referenced, or NULL with *ret as connect's result (SL_KERNEL: the kernel's turn).
static struct file *start(int fd, const struct sockaddr *sa, socklen_t n, int *ret)
{
    long flags = RAW(SYS_fcntl, fd, F_GETFL);
    *ret = SL_KERNEL;
    if (flags < 0 || !engine_need())
        return NULL;
    int h = ENGINE(sl_connect, fd, sa, n);
    if (h < 0) {
        *ret = h > -4096 ? (int)raw_result(h) : SL_KERNEL;
        return NULL;
    }
    struct file *f = conn_bind(fd, h, flags & O_NONBLOCK);
    if (!f) {
        *ret = (int)raw_result(-ENOMEM);
        return NULL;
    }
    f->connecting = true;
    atomic_store(&f->rcv_timeout_ns, timeout(fd, SO_RCVTIMEO));
    atomic_store(&f->snd_timeout_ns, timeout(fd, SO_SNDTIMEO));
    int lowat = option(fd, SO_RCVLOWAT);
    atomic_store(&f->rcv_lowat, lowat > 0 ? lowat : 1);
    epoll_fd_taken(fd, f);
    return f;
}

INTERPOSE int connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    struct file *f = conn_get(fd);
    if (f)
        return again(fd, f);
    if (!selected(fd, sa, n))
        return real.connect(fd, sa, n);
    int ret;
    f = start(fd, sa, n, &ret);
    if (f && atomic_load(&f->nonblock)) { // as the kernel: even if the answer is there already
        file_put(f);
        errno = EINPROGRESS;
        return -1;
    }
    if (f)
        return finish(fd, f);
    return ret == SL_KERNEL ? real.connect(fd, sa, n) : ret;
}
