// A stand-in for the engine: cabi.h over kernel sockets, so that the preload object can be tested without a broker, a device
// or Go. A listener on port P is served on port P + SLT_OFFSET, which makes each connection's path the test's choice.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../cabi/cabi.h"

#define EXPORT __attribute__((visibility("default")))
#define MAX 4096

static struct sl_shared *sh;
static struct entry {
    int k; // the kernel socket behind the handle; -1: free
    int listener, moved;
} table[MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int fd_min, offset;

// All system calls go around the interposed names: the engine's do, too.
static long syscall_raw(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long ret;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return ret;
}
#define CALL_(nr, a, b, c, d, e, f, ...) syscall_raw(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(...) CALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static void say(const char *what)
{
    const char *path = getenv("SLT_STANDIN_LOG");
    long fd = path ? CALL(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd < 0)
        return;
    CALL(SYS_write, fd, what, strlen(what));
    CALL(SYS_close, fd);
}

// own lists or unlists a descriptor of ours.
static void own(int from, int to)
{
    for (int i = 0; i < SL_MAX_OWN; i++)
        if (atomic_load(&sh->own[i]) == (uint32_t)(from + 1)) {
            atomic_store(&sh->own[i], (uint32_t)(to + 1));
            atomic_fetch_add(&sh->own_changes, 1);
            return;
        }
}

// high moves fd to where our descriptors are.
static int high(long fd)
{
    if (fd < 0)
        return (int)fd;
    long to = CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, fd_min);
    CALL(SYS_close, fd);
    own(-1, (int)to);
    return (int)to;
}

static void shut(int fd)
{
    own(fd, -1);
    CALL(SYS_close, fd);
}

static void changed(int h)
{
    uint32_t no = 0;
    if (!atomic_compare_exchange_strong(&sh->queued[h], &no, 1))
        return;
    uint32_t t = atomic_load(&sh->changed_tail);
    atomic_store(&sh->changed[t % SL_MAX_HANDLES], (uint32_t)h);
    atomic_store(&sh->changed_tail, t + 1);
}

static void refresh(int h)
{
    if (table[h].moved)
        return;
    struct pollfd p = { .fd = table[h].k, .events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLPRI };
    struct timespec zero = { 0, 0 };
    CALL(SYS_ppoll, &p, 1, &zero, 0, 0);
    if (atomic_exchange(&sh->words[h].ready, (uint32_t)p.revents) != (uint32_t)p.revents)
        changed(h);
}

static void turn(void)
{
    struct epoll_event ev[64];
    long n;
    sh->crossings++;
    while ((n = CALL(SYS_epoll_pwait, sh->wake_epfd, ev, 64, 0, 0, 8)) > 0)
        for (long i = 0; i < n; i++) {
            int h = (int)ev[i].data.u32;
            if (table[h].k < 0 || table[h].moved)
                continue;
            if (ev[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
                atomic_fetch_add(&sh->words[h].edge_in, 1);
            if (ev[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                atomic_fetch_add(&sh->words[h].edge_out, 1);
            changed(h);
            refresh(h);
        }
}

static int add(int k, int listener)
{
    int h = 0;
    while (h < MAX && table[h].k >= 0)
        h++;
    if (h == MAX || k < 0)
        return -ENFILE;
    table[h] = (struct entry){ k, listener, 0 };
    atomic_store(&sh->words[h].moved, 0);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, .data.u32 = (uint32_t)h };
    CALL(SYS_epoll_ctl, sh->wake_epfd, EPOLL_CTL_ADD, k, &ev);
    atomic_fetch_add(&sh->handles, 1);
    refresh(h);
    return h;
}

static int enter(int h)
{
    pthread_mutex_lock(&lock);
    if (h < 0)
        return 0;
    if (h >= MAX || table[h].k < 0)
        return -EBADF;
    return table[h].moved ? SL_MOVED : 0;
}

// leave takes a turn (h = -1: no handle) and gives r back.
static long leave(int h, long r)
{
    turn();
    if (h >= 0 && h < MAX && table[h].k >= 0)
        refresh(h);
    pthread_mutex_unlock(&lock);
    return r;
}

EXPORT int sl_start(struct sl_shared *shared, const struct sl_boot *boot)
{
    if (boot->abi != SL_ABI || boot->size != sizeof *boot)
        return -EINVAL;
    sh = shared;
    fd_min = boot->fd_min;
    offset = getenv("SLT_OFFSET") ? atoi(getenv("SLT_OFFSET")) : 0;
    for (int i = 0; i < MAX; i++)
        table[i].k = -1;
    sh->wake_epfd = high(CALL(SYS_epoll_create1, EPOLL_CLOEXEC));
    say("start\n");
    return 0;
}

EXPORT int sl_listen(int kfd, int backlog)
{
    struct sockaddr_in6 sa;
    socklen_t n = sizeof sa;
    int one = 1, only = 0, v = 0;
    socklen_t vn = sizeof v;
    enter(-1);
    CALL(SYS_getsockname, kfd, &sa, &n);
    sa.sin6_port = htons((uint16_t)(ntohs(sa.sin6_port) + offset));
    int k = high(CALL(SYS_socket, sa.sin6_family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(SYS_getsockopt, kfd, SOL_SOCKET, SO_KEEPALIVE, &v, &vn);
    CALL(SYS_setsockopt, k, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v);
    CALL(SYS_setsockopt, k, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (sa.sin6_family == AF_INET6)
        CALL(SYS_setsockopt, k, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    long r = CALL(SYS_bind, k, &sa, n);
    if (r >= 0)
        r = CALL(SYS_listen, k, backlog);
    say(r < 0 ? "refused\n" : "listen\n");
    return (int)leave(-1, r < 0 ? SL_KERNEL : add(k, 1));
}

EXPORT int sl_relisten(int h, int backlog)
{
    int r = enter(h);
    return (int)leave(h, r ? r : CALL(SYS_listen, table[h].k, backlog));
}

EXPORT int sl_accept(int h, struct sockaddr *sa, socklen_t *len)
{
    int r = enter(h);
    long k = r ? r : CALL(SYS_accept4, table[h].k, sa, len, 0);
    if (k >= 0) {
        say("accept\n");
        k = add(high(k), 0);
    }
    return (int)leave(h, k);
}

EXPORT int sl_connect(int kfd, const struct sockaddr *sa, socklen_t len, int fresh)
{
    (void)kfd, (void)fresh;
    enter(-1);
    int k = high(CALL(SYS_socket, sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    long r = CALL(SYS_connect, k, sa, len);
    if (r < 0 && r != -EINPROGRESS) {
        shut(k);
        return (int)leave(-1, r);
    }
    say("connect\n");
    return (int)leave(-1, add(k, 0));
}

EXPORT int sl_connect_data(int kfd, const struct sockaddr *sa, socklen_t len, const struct iovec *iov, int n, size_t *took)
{
    (void)iov, (void)n;
    *took = 0; // as without a cookie
    return sl_connect(kfd, sa, len, 0);
}

EXPORT ssize_t sl_recv(int h, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info)
{
    struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    ssize_t r = enter(h);
    if (r == 0)
        r = CALL(SYS_recvmsg, table[h].k, &m, flags | MSG_DONTWAIT);
    if (info && r >= 0)
        info->msg_flags = (uint32_t)m.msg_flags;
    return leave(h, r);
}

EXPORT ssize_t sl_send(int h, const struct iovec *iov, int n, int flags)
{
    struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    ssize_t r = enter(h);
    return leave(h, r ? r : CALL(SYS_sendmsg, table[h].k, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

EXPORT void sl_send_many(struct sl_piece *v, int n)
{
    if (n > 1)
        say("several\n");
    for (int i = 0; i < n; i++)
        v[i].result = sl_send(v[i].handle, &(struct iovec){ (void *)v[i].data, v[i].len }, 1, (int)v[i].flags | SL_STAGED);
}

EXPORT int sl_shutdown(int h, int how)
{
    int r = enter(h);
    return (int)leave(h, r ? r : CALL(SYS_shutdown, table[h].k, how));
}

EXPORT int sl_close(int h)
{
    int r = enter(h);
    if (r == -EBADF)
        return (int)leave(-1, r);
    shut(table[h].k);
    table[h].k = -1;
    atomic_store(&sh->words[h].ready, 0);
    atomic_fetch_sub(&sh->handles, 1);
    return (int)leave(-1, r == SL_MOVED ? SL_KERNEL_FD | (atomic_load(&sh->words[h].moved) - 1) : 0);
}

// What the real engine knows: enough of it. The rest is the kernel's.
static int known(int level, int name)
{
    return (level == SOL_SOCKET && name != SO_TIMESTAMP && name != SO_PRIORITY) || level == IPPROTO_TCP;
}

EXPORT int sl_setsockopt(int h, int level, int name, const void *val, socklen_t len)
{
    int r = enter(h);
    if (r == 0)
        r = known(level, name) ? (int)CALL(SYS_setsockopt, table[h].k, level, name, val, len) : -ENOPROTOOPT;
    return (int)leave(h, r);
}

EXPORT int sl_getsockopt(int h, int level, int name, void *val, socklen_t *len)
{
    int r = enter(h);
    if (r == 0)
        r = known(level, name) ? (int)CALL(SYS_getsockopt, table[h].k, level, name, val, len) : -ENOPROTOOPT;
    return (int)leave(h, r);
}

static atomic_int ran;

static void *ran_main(void *p)
{
    atomic_fetch_add(&ran, 1);
    return p;
}

// begin makes a thread, as a runtime does that cannot do without: 0 if it runs.
static int begin(void)
{
    int before = atomic_load(&ran);
    pthread_attr_t attr;
    pthread_t t;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&t, &attr, ran_main, NULL);
    for (int i = 0; r == 0 && atomic_load(&ran) == before; i++) {
        CALL(SYS_nanosleep, &(struct timespec){ .tv_nsec = 1000000 }, NULL);
        r = i < 10000 ? 0 : ETIMEDOUT;
    }
    return -r;
}

EXPORT int sl_name(int h, int peer, struct sockaddr *sa, socklen_t *len)
{
    int r = enter(h);
    if (r == 0 && getenv("SLT_THREADS"))
        r = begin();
    if (r == 0)
        r = (int)CALL(peer ? SYS_getpeername : SYS_getsockname, table[h].k, sa, len);
    return (int)leave(h, r);
}

EXPORT int sl_ioctl(int h, unsigned long req, int *val)
{
    int r = enter(h);
    return (int)leave(h, r ? r : CALL(SYS_ioctl, table[h].k, req, val));
}

EXPORT int sl_poll(int waits)
{
    (void)waits;
    enter(-1);
    return (int)leave(-1, 0);
}

static int move(int h)
{
    int fd = (int)CALL(SYS_fcntl, table[h].k, F_DUPFD_CLOEXEC, fd_min);
    CALL(SYS_epoll_ctl, sh->wake_epfd, EPOLL_CTL_DEL, table[h].k, 0);
    shut(table[h].k);
    table[h].moved = 1;
    table[h].k = INT32_MAX; // taken, but no socket
    atomic_store(&sh->words[h].moved, (uint32_t)fd + 1);
    atomic_fetch_add(&sh->words[h].edge_in, 1);
    atomic_fetch_add(&sh->words[h].edge_out, 1);
    atomic_store(&sh->words[h].ready, POLLIN | POLLOUT);
    changed(h);
    return fd;
}

EXPORT int sl_handover(int h)
{
    int r = enter(h);
    if (r == 0 && table[h].listener)
        r = -EINVAL;
    if (r == 0) {
        say("handover\n");
        r = move(h);
    }
    return (int)leave(-1, r);
}

EXPORT int sl_wished(int kfd) { return 0 * kfd; }
EXPORT int sl_takeover(int n, const int *kfd, int *result)
{
    for (int i = 0; i < n; i++)
        result[i] = -EOPNOTSUPP + 0 * kfd[i];
    return 0;
}
EXPORT int sl_wish_done(int moved, int left) { return 0 * moved * left; }

EXPORT int sl_stop(void)
{
    enter(-1);
    for (int h = 0; h < MAX; h++)
        if (table[h].k >= 0 && !table[h].moved && !table[h].listener)
            move(h);
    return (int)leave(-1, 0);
}
