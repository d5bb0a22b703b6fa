// Socket options of connections and listeners.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

#include "behind.h"
#include "conn_io.h"
#include "fresh.h"
#include "hands.h"
#include "kconn.h"
#include "ours.h"
#include "probe.h"
#include "raw.h"
#include "ready.h"

#ifndef SO_RCVTIMEO_NEW
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67
#endif

// Which of the file's time-outs an option names, if any.
static _Atomic int64_t *timeout_of(struct file *f, int level, int name)
{
    if (level != SOL_SOCKET)
        return NULL;
    if (name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW)
        return &f->rcv_timeout_ns;
    return name == SO_SNDTIMEO || name == SO_SNDTIMEO_NEW ? &f->snd_timeout_ns : NULL;
}

// timeout_set lets the kernel judge and round the value, on the socket behind fd, which waits for nothing.
static int timeout_set(int fd, _Atomic int64_t *t, int name, const void *val, socklen_t len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // accepted connections share one socket there
    struct timeval tv = { 0, 0 };
    socklen_t n = sizeof tv;
    hands_off(1);
    fresh_end(fd);
    pthread_mutex_lock(&lock);
    long r = RAW(SYS_setsockopt, fd, SOL_SOCKET, name, val, len);
    if (r >= 0)
        RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &tv, &n);
    pthread_mutex_unlock(&lock);
    hands_off(-1);
    if (r >= 0)
        atomic_store(t, (int64_t)tv.tv_sec * 1000000000 + tv.tv_usec * 1000);
    return (int)r;
}

static int timeout_get(int64_t ns, void *val, socklen_t *len)
{
    struct timeval tv = { ns / 1000000000, ns % 1000000000 / 1000 };
    socklen_t n = *len < sizeof tv ? *len : sizeof tv;
    memcpy(val, &tv, n);
    *len = n;
    return 0;
}

// conn_set: 0 or -errno; SL_MOVED: the kernel's turn.
static int conn_set(int fd, struct file *f, int level, int name, const void *val, socklen_t len)
{
    _Atomic int64_t *t = timeout_of(f, level, name);
    if (t)
        return timeout_set(fd, t, name, val, len);
    if (level == SOL_SOCKET && name == SO_RCVLOWAT && len >= sizeof(int)) {
        int low = *(const int *)val;
        atomic_store(&f->rcv_lowat, low < 0 ? INT32_MAX : low ? low : 1);
    }
    int r = level == SOL_SOCKET && name == SO_ERROR ? -ENOPROTOOPT : 0;
    if (level == SOL_SOCKET && (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE))
        r = behind_judged(fd, level, name, val, len); // whether the program may
    if (r == 0)
        r = ENGINE(sl_setsockopt, atomic_load(&f->handle), level, name, val, len);
    if (r == 0 && level == IPPROTO_TCP && name == TCP_INQ)
        f->inq = *(const int *)val != 0;
    return r;
}

static bool is_set(int fd, int level, int name)
{
    int v = 0;
    socklen_t n = sizeof v;
    return RAW(SYS_getsockopt, fd, level, name, &v, &n) >= 0 && v != 0;
}

bool tcp_inq(int fd)
{
    return is_set(fd, IPPROTO_TCP, TCP_INQ);
}

bool kernels_own(int fd)
{
    return is_set(fd, SOL_SOCKET, SO_ZEROCOPY) || is_set(fd, SOL_SOCKET, SO_TIMESTAMPING);
}

void kernels_copy(int listener, int fd)
{
    static const int names[] = { SO_ZEROCOPY, SO_TIMESTAMPING };
    int saved = errno;
    handover_for_good(fd);
    for (int i = 0; i < 2 && fd_kind(fd) == FD_KCONN; i++) {
        char v[16];
        socklen_t n = sizeof v;
        if (is_set(listener, SOL_SOCKET, names[i]) && RAW(SYS_getsockopt, listener, SOL_SOCKET, names[i], v, &n) >= 0)
            RAW(SYS_setsockopt, fd, SOL_SOCKET, names[i], v, n);
    }
    errno = saved;
}

bool reuse_of(struct file *f)
{
    return f->reuse || is_set(atomic_load(&f->fd), SOL_SOCKET, SO_REUSEADDR);
}

void reuse_set(int kernel, bool on)
{
    int v = on;
    RAW(SYS_setsockopt, kernel, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v);
}

// listener_set keeps what accepted connections inherit in step; the kernel's answer is the program's.
static void listener_set(int fd, int level, int name, const void *val, socklen_t len)
{
    struct file *f = fd_kind(fd) == FD_LISTENER ? file_get(fd) : NULL;
    if (!f)
        return;
    int saved = errno;
    if (level == SOL_SOCKET && name == SO_REUSEADDR)
        f->reuse = is_set(fd, level, name);
    if (level == SOL_SOCKET)
        f->reports = kernels_own(fd);
    if (shared() && atomic_load(&f->handle) >= 0)
        conn_set(fd, f, level, name, val, len);
    else if (timeout_of(f, level, name))
        timeout_set(fd, timeout_of(f, level, name), name, val, len);
    file_put(f);
    errno = saved;
}

// cork_set is TCP_CORK. False: the engine has to be told.
static bool cork_set(struct file *f, int on)
{
    if (on ? stage_open(f) : stage_send(f))
        return true;
    stage_flush(f);
    f->corked = on;
    return false;
}

#define MOST 512 // octets of an option's value

// there copies the program's value to where it can be read. False: the kernel says what is wrong with it.
static bool there(char *own, const void **val, socklen_t len)
{
    if (!*val || len > MOST)
        return (int)len >= 0 && probe_there(*val, len);
    bool ok = probe_copy(own, *val, len);
    *val = own;
    return ok;
}

// kernel_may_know: an option that the engine does not know is worth a hand-over.
static bool kernel_may_know(int fd, int level)
{
    int domain = 0;
    socklen_t n = sizeof domain;
    if (level == IPPROTO_IPV6)
        return RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) >= 0 && domain == AF_INET6;
    return level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP;
}

static bool ended(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    return s && h >= 0 && atomic_load(&s->words[h].ready) & POLLHUP;
}

INTERPOSE int setsockopt(int fd, int level, int name, const void *given, socklen_t len)
{
    char own[MOST];
    const void *val;
    struct file *f;
    int r;
look:
    val = given;
    f = conn_get_staged(fd);
    if (f && !there(own, &val, len)) {
        stage_flush(f);
        file_put(f);
        r = behind_judged(fd, level, name, given, len); // which may find another mistake first
        return (int)raw_result(r == 0 ? -EFAULT : r);
    }
    if (f) {
        if (level == IPPROTO_TCP && name == TCP_CORK && len >= sizeof(int) && val && cork_set(f, *(const int *)val)) {
            file_put(f);
            return 0;
        }
        stage_flush(f);
        r = conn_set(fd, f, level, name, val, len);
        if (r == -ENOPROTOOPT && kernel_may_know(fd, level)) {
            fresh_end(fd);
            if (ended(f) && behind_own(f)) // it makes no difference any more
                r = (int)RAW(SYS_setsockopt, fd, level, name, val, len);
            else if (conn_handover(fd, f) == 0)
                r = SL_MOVED;
        }
        if (r == SL_MOVED)
            file_settle(f);
        file_put(f);
        if (r != SL_MOVED)
            return (int)raw_result(r);
    }
    fresh_end(fd);
    kconn_option(fd, level, name);
    r = BY_KERNEL(fd, real.setsockopt(fd, level, name, given, len), look);
    if (r == 0)
        listener_set(fd, level, name, val, len);
    return r;
}

bool conn_result(struct file *f, int r, int *ret)
{
    if (r == SL_MOVED)
        file_settle(f);
    file_put(f);
    *ret = r == SL_MOVED ? 0 : (int)raw_result(r);
    return r != SL_MOVED;
}

// peer_name is SO_PEERNAME: the peer's address, of which no more may be asked for than there is.
static int peer_name(struct file *f, void *val, socklen_t *len)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    int r = ENGINE(sl_name, atomic_load(&f->handle), 1, (struct sockaddr *)&sa, &n);
    if (r == 0 && n < *len)
        return -EINVAL;
    if (r == 0)
        memcpy(val, &sa, *len);
    return r;
}

// option_of asks for an option's value: into val, of which *len octets are there.
static int option_of(struct file *f, int level, int name, void *val, socklen_t *len)
{
    _Atomic int64_t *t = timeout_of(f, level, name);
    if (level == SOL_SOCKET && name == SO_PEERNAME)
        return peer_name(f, val, len);
    if (t)
        return timeout_get(atomic_load(t), val, len);
    if (level == SOL_SOCKET && name == SO_REUSEADDR && f->reuse) { // else the socket behind it tells
        int on = 1;
        *len = *len < sizeof on ? *len : sizeof on;
        memcpy(val, &on, *len);
        return 0;
    }
    return ENGINE(sl_getsockopt, atomic_load(&f->handle), level, name, val, len);
}

// option_to gives the program what it asks for, if there is memory for it.
static int option_to(struct file *f, int level, int name, void *val, socklen_t *len)
{
    char own[MOST];
    socklen_t n = 0;
    if (!probe_copy(&n, len, sizeof n))
        return -EFAULT;
    if ((int)n < 0)
        return -EINVAL;
    n = n < MOST ? n : MOST;
    int r = option_of(f, level, name, own, &n);
    if (r < 0)
        return r;
    // The kernel tells the length first, but of SOL_SOCKET the value.
    bool first = level == SOL_SOCKET || probe_copy(len, &n, sizeof n);
    if (!first || !probe_copy(val, own, n < MOST ? n : MOST) || !probe_copy(len, &n, sizeof n))
        return -EFAULT;
    return r;
}

INTERPOSE int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    struct file *f;
look:
    f = conn_get(fd);
    if (f && !kernel_may_know(fd, level)) { // nobody's: the placeholder says so, before it looks at anything else
        file_put(f);
        return real.getsockopt(fd, level, name, val, len);
    }
    if (!f && level == SOL_SOCKET && name == SO_COOKIE)
        fresh_end(fd); // no other socket may tell of the same
    if (!f)
        return BY_KERNEL(fd, real.getsockopt(fd, level, name, val, len), look);
    int ret, r = option_to(f, level, name, val, len);
    if (r == -ENOPROTOOPT)
        r = SL_MOVED; // the placeholder answers
    bool placeholder = r == SL_MOVED && shared() && atomic_load(&shared()->words[atomic_load(&f->handle)].moved) == 0;
    if (placeholder) {
        file_put(f);
        fresh_end(fd);
        return real.getsockopt(fd, level, name, val, len);
    }
    if (!conn_result(f, r, &ret))
        goto look;
    return ret;
}
