// Sockets that listen, accept and connect.
#include <errno.h>
#include <netinet/in.h>

#include "bell.h"
#include "clock.h"
#include "conn_io.h"
#include "door.h"
#include "engine.h"
#include "fresh.h"
#include "image.h"
#include "kconn.h"
#include "knobs.h"
#include "listener.h"
#include "ours.h"
#include "own.h"
#include "ports.h"
#include "probe.h"
#include "raw.h"
#include "recycle.h"
#include "ready.h"
#include "wait.h"
#include "usdt.h"

INTERPOSE int socket(int domain, int type, int proto)
{
    int fd = recycle_socket(domain, type, proto);
    if (fd >= 0)
        return new_fd(fd);
    fd = new_fd(real.socket(domain, type, proto));
    fresh_socket(fd, domain, type, proto);
    return fd;
}

// over: both ends have finished, or the connection failed: it may be bound once more.
static bool over(struct file *f)
{
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    engine_turn(shared(), false);
    if (!(ready_bits(shared(), atomic_load(&f->handle)) & POLLHUP))
        return false;
    return ENGINE(sl_name, atomic_load(&f->handle), 1, (struct sockaddr *)&own, &n) == -ENOTCONN;
}

static int bind_fresh(int fd, const struct sockaddr *sa, socklen_t n)
{
    int r = real.bind(fd, sa, n);
    if (r < 0 && errno == EADDRINUSE && ports_back(fd, sa, n))
        r = real.bind(fd, sa, n);
    if (r == 0)
        fresh_bound(fd, sa, n);
    return r;
}

INTERPOSE int bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    struct file *f = conn_get(fd);
    fresh_end(fd);
    if (!f)
        return bind_fresh(fd, sa, n);
    int moved = over(f) ? conn_handover(fd, f) : -1; // it has no port any more
    if (moved == 0) {
        file_put(f);
        return bind_fresh(fd, sa, n);
    }
    // Bound already; but the kernel looks at the address first, and a socket of no use tells what it thinks of it.
    int domain = AF_INET, other = -1;
    socklen_t room = sizeof domain;
    if (RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &room) >= 0)
        other = (int)RAW(SYS_socket, domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    long r = other >= 0 ? RAW(SYS_bind, other, sa, n) : 0;
    if (other >= 0)
        RAW(SYS_close, other);
    file_put(f);
    errno = r < 0 && r != -EADDRINUSE ? (int)-r : EINVAL;
    return -1;
}

INTERPOSE int listen(int fd, int backlog)
{
    struct file *f = conn_get(fd);
    if (f) {
        file_put(f);
        errno = EINVAL; // connected
        return -1;
    }
    fresh_end(fd);
    int r = real.listen(fd, backlog);
    if (r < 0 && errno == EADDRINUSE && ports_back(fd, NULL, 0)) // not bound yet
        r = real.listen(fd, backlog);
    if (r == 0 && knobs.on)
        listener_consider(fd, backlog);
    return r;
}

// settle_accepted places the kernel socket k, which came out of the engine's accept queue, at the lowest number.
static int place_kernel(int k, int flags)
{
    int fd = (int)RAW(SYS_fcntl, k, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    RAW(SYS_close, k);
    if (fd >= 0)
        RAW(SYS_fcntl, fd, F_SETFL, O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    return kconn_bind(new_fd((int)raw_result(fd)));
}

// named gives the program the peer's address, if it wants it. Where there is no room the connection is lost, as in the kernel.
static int named(int fd, const struct sockaddr_storage *name, socklen_t length, struct sockaddr *sa, socklen_t *n)
{
    int r = fd >= 0 && sa ? probe_name(name, length, sa, n) : 0;
    if (r == 0)
        return fd;
    close(fd);
    return (int)raw_result(r);
}

// accept_ours takes a connection from the engine. -1 with EAGAIN: none there.
static int accept_ours(int listener, struct file *l, struct sockaddr *sa, socklen_t *n, int flags)
{
    struct sl_shared *s = shared();
    int lh = atomic_load(&l->handle);
    errno = EAGAIN;
    if (!s || lh < 0)
        return -1;
    if (!(atomic_load(&s->words[lh].ready) & POLLIN))
        engine_turn(s, false);
    errno = EAGAIN;
    if (!(atomic_load(&s->words[lh].ready) & POLLIN))
        return -1;
    int fd = placeholder_dup(l, flags & SOCK_CLOEXEC);
    if (fd < 0)
        return -1; // EMFILE, ENFILE: as the kernel, before a connection is taken
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int h = ENGINE(sl_accept, lh, (struct sockaddr *)&name, &length);
    PROBE(accept, lh, h);
    if (h < 0 || h & SL_KERNEL_FD) {
        RAW(SYS_close, fd);
        if (h < 0)
            return (int)raw_result(h > -4096 ? h : -EAGAIN);
        reuse_set(h & ~SL_KERNEL_FD, l->reuse);
        return named(place_kernel(h & ~SL_KERNEL_FD, flags), &name, length, sa, n);
    }
    struct file *f = conn_bind(new_fd(fd), h, flags & SOCK_NONBLOCK);
    if (!f) {
        RAW(SYS_close, fd);
        return (int)raw_result(-ENOMEM);
    }
    atomic_store(&f->rcv_timeout_ns, atomic_load(&l->rcv_timeout_ns));
    atomic_store(&f->snd_timeout_ns, atomic_load(&l->snd_timeout_ns));
    atomic_store(&f->rcv_lowat, atomic_load(&l->rcv_lowat));
    f->inq = l->inq;
    f->reuse = l->reuse;
    file_put(f);
    if (l->reports)
        kernels_copy(listener, fd);
    return named(fd, &name, length, sa, n);
}

// answered gives the program the connection that fd, a bell, has become.
static int answered(int fd, struct file *l, struct sockaddr *sa, socklen_t *n, socklen_t room)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    RAW(SYS_getpeername, fd, &name, &length);
    reuse_set(fd, l->reuse);
    if (n)
        probe_copy(n, &room, sizeof room);
    return named(kconn_bind(new_fd(fd)), &name, length, sa, n);
}

// accept_kernels takes the kernel's next one, or what it stands for.
static int accept_kernels(int listener, struct file *l, struct sockaddr *sa, socklen_t *n, int flags)
{
    socklen_t room = sa && n && probe_there(n, sizeof *n) ? *n : 0;
    for (;;) {
        int fd = real.accept4(listener, sa, n, flags);
        enum bell bell = fd >= 0 && (l->bare || shared()) ? bell_answer(listener, fd, flags) : BELL_NONE;
        if (bell == BELL_NONE)
            return kconn_bind(new_fd(fd));
        if (bell == BELL_ANSWERED)
            return answered(fd, l, sa, sa ? n : NULL, room);
        if (sa && n)
            probe_copy(n, &room, sizeof room); // and the next
    }
}

// kernel_wait waits for a listener that the engine does not have, although its description is O_NONBLOCK: another process's engine has it.
static int kernel_wait(int fd, int64_t limit)
{
    struct timespec t = { limit / 1000000000, limit % 1000000000 };
    struct pollfd p = { .fd = fd, .events = POLLIN };
    unsigned plain = sig_plain;
    int r;
    do
        r = real.ppoll(&p, 1, limit > 0 ? &t : NULL, NULL);
    while (r < 0 && errno == EINTR && limit <= 0 && sig_plain == plain);
    return r < 0 ? -errno : r;
}

// offer_meanwhile waits for the kernel's next connection, but no longer than until a refused listener is to be offered to the engine again; and
// offers it. end: of SO_RCVTIMEO, -1: none; the kernel's own accept would begin that anew. 0, or -errno.
static int offer_meanwhile(int fd, struct file *l, int64_t end)
{
    unsigned plain = sig_plain;
    for (int64_t at; atomic_load(&l->handle) < 0 && ((at = listener_retry(l)) >= 0 || end >= 0);) {
        int64_t until = earlier(at, end), left = until - now_ns();
        left = left < 0 ? 0 : left;
        struct timespec t = { left / 1000000000, left % 1000000000 };
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int r = real.ppoll(&p, 1, &t, NULL);
        if (r > 0)
            break;
        if (r < 0 && (errno != EINTR || end >= 0 || sig_plain != plain))
            return -errno;
        if (r == 0 && until == end)
            return -EAGAIN;
        if (r == 0)
            listener_need(fd, l);
    }
    return 0;
}

// accept_on serves a selected listener: the engine's queue first, then the kernel's, then waits if the program's mode is blocking.
static int accept_on(int fd, struct file *l, struct sockaddr *sa, socklen_t *n, int flags)
{
    int64_t limit = atomic_load(&l->rcv_timeout_ns), end = limit > 0 ? now_ns() + limit : -1;
    for (;;) {
        int late = atomic_load(&l->nonblock) ? 0 : offer_meanwhile(fd, l, end);
        if (late != 0)
            return (int)raw_result(late);
        int got = accept_ours(fd, l, sa, n, flags);
        if (got < 0 && errno == EAGAIN)
            got = accept_kernels(fd, l, sa, n, flags);
        if (got >= 0 || errno != EAGAIN || atomic_load(&l->nonblock))
            return got;
        int h = atomic_load(&l->handle);
        int64_t left = end < 0 ? -1 : end - now_ns();
        if (end >= 0 && left <= 0)
            return (int)raw_result(-EAGAIN);
        int r = h >= 0 ? wait_handle(fd, h, POLLIN, left) : kernel_wait(fd, left);
        if (r <= 0)
            return (int)raw_result(r < 0 ? r : -EAGAIN);
    }
}

INTERPOSE int accept4(int fd, struct sockaddr *sa, socklen_t *n, int flags)
{
    struct file *f = fd_kind(fd) == FD_LISTENER ? file_get(fd) : NULL;
    if (!f || (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))) {
        file_put(f);
        return new_fd(real.accept4(fd, sa, n, flags));
    }
    listener_need(fd, f);
    int r = accept_on(fd, f, sa, n, flags);
    file_put(f);
    return standard(r);
}

INTERPOSE int accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    return fd_kind(fd) == FD_LISTENER ? accept4(fd, sa, n, 0) : new_fd(real.accept(fd, sa, n));
}
