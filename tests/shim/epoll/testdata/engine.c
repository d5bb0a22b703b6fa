/* A stand-in for the engine, for tests of the preload object alone: cabi.h over kernel sockets of its own.
 *
 * sl_listen on 127.0.0.1:P listens on 127.0.0.2:P too: who connects there is served "by the engine", who connects to 127.0.0.1 by
 * the kernel. A handle wraps a kernel socket that the program does not see; its readiness and edges come from two private
 * epoll sets, one for each direction, so that the words of cabi.h say exactly what the kernel would. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../../../cabi/cabi.h"
#include "../../../../shim/raw.h"

#define MAX 4096
static struct sl_shared *sh;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int fd_min, in_ep, out_ep;
static int socks[MAX]; /* fd + 1 */

/* One receive ring to spin on: the scenarios advance its producer index, in a file that both map, when they have sent something. */
static _Atomic uint32_t *ring_prod, ring_cons;

static void map_ring(void)
{
    const char *path = getenv("SLT_RING");
    int fd = path ? (int)RAW(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        RAW(SYS_close, fd);
    if (p == MAP_FAILED)
        return;
    ring_prod = p;
    atomic_store(&sh->rings[0].prod, ring_prod);
    atomic_store(&sh->rings[0].cons, &ring_cons);
    atomic_store(&sh->nrings, 1);
}

/* The stand-in lives under the preload object: it must not come back to the interposed calls. */
#define CALL(...) raw_result(RAW(__VA_ARGS__))

static int high(int fd)
{
    int to = (int)CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd_min);
    CALL(SYS_close, fd);
    return to;
}

static int raw_ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = { .events = events, .data.u64 = data };
    return (int)CALL(SYS_epoll_ctl, ep, op, fd, &ev);
}

static void publish(int h, int in, int out)
{
    struct pollfd p = { .fd = socks[h] - 1, .events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLPRI };
    struct timespec none = { 0 };
    CALL(SYS_ppoll, &p, 1, &none, NULL, 8);
    atomic_store(&sh->words[h].ready, (uint32_t)(uint16_t)p.revents);
    if (in)
        atomic_fetch_add(&sh->words[h].edge_in, 1);
    if (out)
        atomic_fetch_add(&sh->words[h].edge_out, 1);
    if ((in || out) && !atomic_exchange(&sh->queued[h], 1)) {
        uint32_t tail = atomic_load(&sh->changed_tail);
        atomic_store(&sh->changed[tail % SL_MAX_HANDLES], (uint32_t)h);
        atomic_store(&sh->changed_tail, tail + 1);
    }
}

static int events_of(int ep, int in)
{
    struct epoll_event ev[64];
    int n = (int)CALL(SYS_epoll_pwait, ep, ev, 64, 0, NULL, 8), total = 0;
    for (; n > 0; n = (int)CALL(SYS_epoll_pwait, ep, ev, 64, 0, NULL, 8)) {
        total += n;
        for (int i = 0; i < n; i++)
            if (socks[ev[i].data.u32])
                publish((int)ev[i].data.u32, in, !in);
    }
    return total;
}

static int turn(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    atomic_store(&sh->entered_ns, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
    sh->crossings++;
    if (ring_prod)
        atomic_store(&ring_cons, atomic_load(ring_prod));
    return events_of(in_ep, 1) + events_of(out_ep, 0);
}

static void enter(void) { pthread_mutex_lock(&lock); }
static void leave(void) { pthread_mutex_unlock(&lock); }

static int handle_new(int fd)
{
    for (int h = 1; h < MAX; h++)
        if (!socks[h]) {
            fd = high(fd);
            socks[h] = fd + 1;
            atomic_store(&sh->words[h].moved, 0);
            atomic_store(&sh->words[h].ready, 0);
            atomic_fetch_add(&sh->handles, 1);
            raw_ctl(in_ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET, (uint64_t)h);
            raw_ctl(out_ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, (uint64_t)h);
            publish(h, 0, 0);
            turn(); /* the first report of each set is no edge of the connection's */
            return h;
        }
    CALL(SYS_close, fd);
    return -ENFILE;
}

int sl_start(struct sl_shared *shared, const struct sl_boot *boot)
{
    if (boot->abi != SL_ABI || boot->size != sizeof *boot)
        return -EINVAL;
    sh = shared;
    fd_min = boot->fd_min;
    in_ep = high((int)CALL(SYS_epoll_create1, EPOLL_CLOEXEC));
    out_ep = high((int)CALL(SYS_epoll_create1, EPOLL_CLOEXEC));
    sh->wake_epfd = high((int)CALL(SYS_epoll_create1, EPOLL_CLOEXEC));
    raw_ctl(sh->wake_epfd, EPOLL_CTL_ADD, in_ep, EPOLLIN, 0);
    raw_ctl(sh->wake_epfd, EPOLL_CTL_ADD, out_ep, EPOLLIN, 0);
    map_ring();
    return 0;
}

int sl_listen(int kfd, int backlog)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    if (CALL(SYS_getsockname, kfd, &sa, &n) != 0 || sa.sin_family != AF_INET)
        return SL_KERNEL;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    int fd = (int)CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (CALL(SYS_bind, fd, &sa, sizeof sa) != 0 || CALL(SYS_listen, fd, backlog) != 0) {
        CALL(SYS_close, fd);
        return SL_KERNEL;
    }
    enter();
    int h = handle_new(fd);
    turn();
    leave();
    return h;
}

int sl_relisten(int h, int backlog) { return (int)CALL(SYS_listen, socks[h] - 1, backlog); }

#define ERRNO(r) ((r) < 0 ? -errno : (r))

int sl_accept(int h, struct sockaddr *sa, socklen_t *len)
{
    enter();
    turn();
    int fd = (int)CALL(SYS_accept4, socks[h] - 1, sa, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int r = fd < 0 ? -errno : handle_new(fd);
    publish(h, 0, 0);
    leave();
    return r;
}

int sl_connect(int kfd, const struct sockaddr *sa, socklen_t len, int fresh)
{
    (void)kfd, (void)fresh;
    int fd = (int)CALL(SYS_socket, sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return SL_KERNEL;
    enter();
    int r = (int)CALL(SYS_connect, fd, sa, len);
    r = r != 0 && errno != EINPROGRESS ? (CALL(SYS_close, fd), -errno) : handle_new(fd);
    turn();
    leave();
    return r;
}

int sl_connect_data(int kfd, const struct sockaddr *sa, socklen_t len, const struct iovec *iov, int n, size_t *took)
{
    (void)iov, (void)n;
    *took = 0; // as without a cookie
    return sl_connect(kfd, sa, len, 0);
}

ssize_t sl_recv(int h, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info)
{
    struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    enter();
    turn();
    ssize_t r = CALL(SYS_recvmsg, socks[h] - 1, &m, flags | MSG_DONTWAIT);
    r = ERRNO(r);
    if (info)
        *info = (struct sl_recvinfo){ .msg_flags = (uint32_t)m.msg_flags & MSG_OOB };
    publish(h, 0, 0);
    leave();
    return r;
}

ssize_t sl_send(int h, const struct iovec *iov, int n, int flags)
{
    struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    enter();
    turn();
    ssize_t r = CALL(SYS_sendmsg, socks[h] - 1, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    r = ERRNO(r);
    publish(h, 0, 0);
    leave();
    return r;
}

void sl_send_many(struct sl_piece *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i].result = sl_send(v[i].handle, &(struct iovec){ (void *)v[i].data, v[i].len }, 1, (int)v[i].flags | SL_STAGED);
}

int sl_shutdown(int h, int how)
{
    enter();
    int r = ERRNO((int)CALL(SYS_shutdown, socks[h] - 1, how));
    turn();
    publish(h, 0, 0);
    leave();
    return r;
}

int sl_close(int h)
{
    if (h <= 0 || h >= MAX || !socks[h])
        return -EBADF;
    enter();
    CALL(SYS_close, socks[h] - 1);
    socks[h] = 0;
    uint32_t moved = atomic_exchange(&sh->words[h].moved, 0);
    atomic_fetch_sub(&sh->handles, 1);
    leave();
    return moved ? (int)(SL_KERNEL_FD | (moved - 1)) : 0;
}

int sl_setsockopt(int h, int level, int name, const void *val, socklen_t len)
{
    return ERRNO((int)CALL(SYS_setsockopt, socks[h] - 1, level, name, val, len));
}

int sl_getsockopt(int h, int level, int name, void *val, socklen_t *len)
{
    return ERRNO((int)CALL(SYS_getsockopt, socks[h] - 1, level, name, val, len));
}

int sl_name(int h, int peer, struct sockaddr *sa, socklen_t *len)
{
    return ERRNO((int)CALL(peer ? SYS_getpeername : SYS_getsockname, socks[h] - 1, sa, len));
}

int sl_ioctl(int h, unsigned long req, int *val) { return ERRNO((int)CALL(SYS_ioctl, socks[h] - 1, req, val)); }

int sl_poll(int waits)
{
    (void)waits;
    enter();
    int n = turn();
    leave();
    return n;
}

/* The kernel socket itself is what the connection becomes. */
int sl_handover(int h)
{
    enter();
    int fd = (int)CALL(SYS_fcntl, socks[h] - 1, F_DUPFD_CLOEXEC, fd_min);
    raw_ctl(in_ep, EPOLL_CTL_DEL, socks[h] - 1, 0, 0);
    raw_ctl(out_ep, EPOLL_CTL_DEL, socks[h] - 1, 0, 0);
    atomic_store(&sh->words[h].moved, (uint32_t)fd + 1);
    publish(h, 1, 1);
    atomic_store(&sh->words[h].ready, POLLIN | POLLOUT);
    leave();
    return fd;
}

int sl_stop(void) { return 0; }
int sl_wished(int kfd) { return 0 * kfd; }
int sl_takeover(int n, const int *kfd, int *result)
{
    for (int i = 0; i < n; i++)
        result[i] = -EOPNOTSUPP + 0 * kfd[i];
    return 0;
}
int sl_wish_done(int moved, int left) { return 0 * moved * left; }
