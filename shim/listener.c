// A selected listener is a candidate from listen() on; it goes into the engine when the program first polls it or accepts.
#include "listener.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "clock.h"
#include "conn_io.h"
#include "door.h"
#include "engine.h"
#include "image.h"
#include "knobs.h"
#include "locks.h"
#include "process.h"
#include "raw.h"
#include "real.h"
#include "refuse.h"
#include "rules.h"
#include "wait.h"
#include "usdt.h"

static pthread_mutex_t need_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool needing __attribute__((tls_model("initial-exec"))); // this thread has need_lock

// Leaving the engine may bring listener_left, in the midst of a call that has the lock already.
static void need(void)
{
    lock_takes(LOCK_NEED);
    needing = true; // a handler that comes now must not wait for its own thread
    pthread_mutex_lock(&need_lock);
    lock_has(LOCK_NEED, 1);
}

static void need_no_more(void)
{
    lock_has(LOCK_NEED, -1);
    pthread_mutex_unlock(&need_lock);
    needing = false;
}

static int option(int fd, int level, int name)
{
    int v = 0;
    socklen_t n = sizeof v;
    return RAW(SYS_getsockopt, fd, level, name, &v, &n) < 0 ? -1 : v;
}

static int64_t timeout(int fd, int name)
{
    struct timeval tv = { 0, 0 };
    socklen_t n = sizeof tv;
    if (RAW(SYS_getsockopt, fd, SOL_SOCKET, name, &tv, &n) < 0)
        return 0;
    return (int64_t)tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
}

static bool selected(int fd)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP || RAW(SYS_getsockname, fd, &sa, &n) < 0)
        return false;
    return rules_match(&knobs.listen, (struct sockaddr *)&sa, n);
}

// become makes fd a candidate.
static void become(int fd, int backlog)
{
    struct file *f = file_new(FD_LISTENER);
    if (!f)
        return;
    f->backlog = backlog;
    f->inet6 = option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
    long flags = RAW(SYS_fcntl, fd, F_GETFL);
    atomic_store(&f->nonblock, flags >= 0 && (flags & (O_NONBLOCK | O_APPEND)) == O_NONBLOCK);
    atomic_store(&f->rcv_timeout_ns, timeout(fd, SO_RCVTIMEO));
    atomic_store(&f->snd_timeout_ns, timeout(fd, SO_SNDTIMEO));
    f->inq = tcp_inq(fd);
    f->reuse = option(fd, SOL_SOCKET, SO_REUSEADDR) > 0;
    int lowat = option(fd, SOL_SOCKET, SO_RCVLOWAT);
    atomic_store(&f->rcv_lowat, lowat > 0 ? lowat : 1);
    fd_bind(fd, f);
    file_put(f);
    door_open();
    image_find();
}

void listener_consider(int fd, int backlog)
{
    int saved = errno;
    struct file *f = file_get(fd);
    if (f) {
        f->backlog = backlog;
        if (f->kind == FD_LISTENER && shared() && atomic_load(&f->handle) >= 0)
            ENGINE(sl_relisten, atomic_load(&f->handle), backlog);
        file_put(f);
    } else if (knobs.listen.n > 0 && selected(fd)) {
        become(fd, backlog);
    }
    errno = saved;
}

void listener_adopt(int fd)
{
    if (knobs.on && knobs.listen.n > 0 && fd_load(fd) == 0 && option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 && selected(fd))
        become(fd, SOMAXCONN);
}

// A program may get its listeners from the one that started it (exec, socket activation).
void listeners_inherited(void)
{
    char buf[2048];
    long dir = RAW(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (long n; dir >= 0 && (n = RAW(SYS_getdents64, dir, buf, sizeof buf)) > 0;)
        for (long at = 0; at < n; at += ((struct dirent64 *)(buf + at))->d_reclen) {
            const char *name = ((struct dirent64 *)(buf + at))->d_name;
            long fd = number(name, (int)strlen(name), FD_MAX - 1);
            if (fd >= 0 && fd != dir)
                listener_adopt((int)fd);
        }
    if (dir >= 0)
        RAW(SYS_close, dir);
}

// RETRY_LONG is the longest pause, and the one for whose end nobody is woken: half a minute after the first refusal.
#define RETRY_LONG 30000000000

static void pause_listener(struct file *f)
{
    int64_t pause = f->pause_ns ? f->pause_ns : 1000000000;
    f->pause_ns = pause < RETRY_LONG ? 2 * pause : pause;
    atomic_store(&f->retry_ns, now_ns() + pause);
}

// bare: this process is to accept by the kernel alone; another's engine may have the listener. A process that confined itself may not say so.
static void bare(int fd, struct file *f)
{
    if (f->bare || refuse_confined())
        return;
    f->bare = true;
    door_bare(fd);
}

// enter puts a candidate into the engine.
static void enter(int fd, struct file *f)
{
    if (kernels_own(fd)) {
        pause_listener(f);
        return;
    }
    if (!engine_need()) {
        bare(fd, f);
        pause_listener(f);
        return;
    }
    long flags = RAW(SYS_fcntl, fd, F_GETFL);
    RAW(SYS_fcntl, fd, F_SETFL, listener_flags(flags));
    int h = ENGINE(sl_listen, fd, f->backlog);
    PROBE(listen, fd, h);
    if (h >= 0) {
        file_set_handle(f, h);
        epoll_fd_taken(fd, f);
        return;
    }
    RAW(SYS_fcntl, fd, F_SETFL, flags);
    pause_listener(f);
}

bool listener_need(int fd, struct file *f)
{
    if (f->kind != FD_LISTENER)
        return false;
    if (atomic_load(&f->handle) >= 0)
        return shared() != NULL;
    if (needing || engine_inside || now_ns() < atomic_load(&f->retry_ns))
        return false;
    int saved = errno;
    need();
    if (atomic_load(&f->handle) < 0 && now_ns() >= atomic_load(&f->retry_ns))
        enter(fd, f);
    need_no_more();
    errno = saved;
    return atomic_load(&f->handle) >= 0;
}

int64_t listener_retry(struct file *f)
{
    need();
    int64_t at = f->kind == FD_LISTENER && f->pause_ns > 0 && f->pause_ns < RETRY_LONG ? atomic_load(&f->retry_ns) : -1;
    need_no_more();
    return at;
}

void listener_give(int fd)
{
    struct file *f = fd_kind(fd) == FD_LISTENER ? file_get(fd) : NULL;
    if (f && !atomic_load(&f->nonblock)) {
        need();
        atomic_store(&f->retry_ns, INT64_MAX), f->pause_ns = 0; // never again
        int h = atomic_load(&f->handle);
        if (h >= 0 && shared()) {
            epoll_fd_moved(fd, f);
            file_set_handle(f, -1);
            ENGINE(sl_close, h);
            RAW(SYS_fcntl, fd, F_SETFL, RAW(SYS_fcntl, fd, F_GETFL) & ~(O_NONBLOCK | O_APPEND));
        }
        need_no_more();
    }
    file_put(f);
}

void listener_left(int fd, struct file *f)
{
    bool locked = !needing;
    if (locked)
        need();
    epoll_fd_moved(fd, f);
    int h = atomic_load(&f->handle);
    if (h >= 0 && shared()) {
        atomic_store(&f->retry_ns, INT64_MAX), f->pause_ns = 0;
        file_set_handle(f, -1);
        ENGINE(sl_close, h);
    }
    if (locked)
        need_no_more();
}

void listener_forked(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&need_lock, &fresh, sizeof fresh);
    needing = false;
}

static _Atomic int placeholder[2] = { -1, -1 };

static int placeholder_make(bool inet6)
{
    int fd = (int)RAW(SYS_socket, inet6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? (int)raw_result(fd) : own_move(fd, &placeholder[inet6]);
}

int placeholder_dup(struct file *l, bool cloexec)
{
    int from = atomic_load(&placeholder[l->inet6]);
    if (from < 0 && (from = placeholder_make(l->inet6)) < 0)
        return -1;
    return (int)raw_result(RAW(SYS_fcntl, from, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0));
}

bool placeholder_is(int fd)
{
    struct stat is, it;
    for (int i = 0; i < 2; i++) {
        int from = atomic_load(&placeholder[i]);
        if (from >= 0 && fstat(from, &is) == 0 && fstat(fd, &it) == 0 && is.st_ino == it.st_ino)
            return true;
    }
    return false;
}
