// Connections between the engine and the kernel: settling what moved, handing over, what a fork leaves behind.
#include "ours.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "clock.h"
#include "conn_io.h"
#include "door.h"
#include "file.h"
#include "fresh.h"
#include "hands.h"
#include "heirs.h"
#include "kconn.h"
#include "locks.h"
#include "log.h"
#include "raw.h"
#include "ready.h"
#include "sleep.h"
#include "wait.h"
#include "usdt.h"

static pthread_mutex_t settle_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool settle_here __attribute__((tls_model("initial-exec"))); // this thread has it

// One settling: the kernel socket that takes the descriptors' place.
struct move {
    int kernel;
    struct file *k; // what the descriptors name from then on, NULL: plainly the kernel's
};

static void move_fd(int fd, struct file *f, void *arg)
{
    struct move *m = arg;
    if (!fd_hold(fd))
        return;
    long flags = RAW(SYS_fcntl, fd, F_GETFD);
    if (flags < 0 || !file_is(f, fd)) {
        fd_unhold(fd);
        return;
    }
    RAW(SYS_dup3, m->kernel, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    epoll_fd_moved(fd, f);
    fd_rebind(fd, m->k);
}

static void set_timeout(int kernel, int name, int64_t ns)
{
    struct timeval tv = { ns / 1000000000, ns % 1000000000 / 1000 };
    if (ns > 0)
        RAW(SYS_setsockopt, kernel, SOL_SOCKET, name, &tv, sizeof tv);
}

// keep: children may still ask for the connection: the engine gives them copies of the descriptor that words[] names.
static void keep(struct file *f, int kernel)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    bool asked = s && h >= 0 && atomic_load(&f->heirs) != 0;
    int copy = asked ? (int)RAW(SYS_fcntl, kernel, F_DUPFD_CLOEXEC, own_base()) : -1;
    if (asked) {
        f->kept = copy >= 0 ? copy : kernel;
        own_add(f->kept, NULL);
    }
    if (s && h >= 0) // before what it says is closed
        atomic_store(&s->words[h].moved, asked ? (uint32_t)f->kept + 1 : SL_GONE);
    if (!asked || copy >= 0)
        RAW(SYS_close, kernel);
}

// settle_as makes kernel (a descriptor of ours, closed here) what f's descriptors are from now on: k. settle_lock is held.
static void settle_as(struct file *f, int kernel, struct file *k)
{
    struct move m = { .kernel = kernel, .k = k };
    RAW(SYS_fcntl, kernel, F_SETFL, O_RDWR | (atomic_load(&f->nonblock) ? O_NONBLOCK : 0));
    set_timeout(kernel, SO_RCVTIMEO, atomic_load(&f->rcv_timeout_ns));
    set_timeout(kernel, SO_SNDTIMEO, atomic_load(&f->snd_timeout_ns));
    reuse_set(kernel, reuse_of(f));
    int low = atomic_load(&f->rcv_lowat);
    if (low != 1)
        RAW(SYS_setsockopt, kernel, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    if (k && atomic_load(&f->heirs) != 0)
        atomic_store(&k->pinned, true);
    for (int tries = 0; atomic_load(&f->fds) > 0 && tries < 100; tries++) // a dup under way may add one
        fd_each(f, move_fd, &m);
    file_put(k);
    keep(f, kernel);
}

// gone: the connection is lost with its engine: a socket whose reads and writes fail stands in for it.
static int gone_socket(void)
{
    int fd = (int)RAW(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd;
}

// Signals wait meanwhile: a handler that makes a call on a connection which is to be settled would wait for its own thread.
void settle_wait(bool on)
{
    if (on) {
        hands_off(1);
        lock_takes(LOCK_SETTLE);
        pthread_mutex_lock(&settle_lock);
    } else {
        pthread_mutex_unlock(&settle_lock);
    }
    lock_has(LOCK_SETTLE, on ? 1 : -1);
    settle_here = on;
    if (!on) {
        settle_moved(); // what moved meanwhile
        hands_off(-1);
    }
}

bool settle_waits(void) { return settle_here; }

void file_settle_now(struct file *f)
{
    struct sl_shared *s = shared();
    int h = atomic_load(&f->handle);
    uint32_t moved = s && h >= 0 ? atomic_load(&s->words[h].moved) : 0;
    if (moved == 0 || f->settled)
        return;
    f->settled = true;
    int kernel = moved == SL_GONE ? gone_socket() : (int)moved - 1;
    if (kernel >= 0)
        settle_as(f, kernel, moved == SL_GONE ? NULL : kconn_new());
}

void file_settle(struct file *f)
{
    stage_flush(f);
    settle_wait(true);
    file_settle_now(f);
    settle_wait(false);
}

struct file *conn_get_slow(int fd)
{
    for (int tries = 0; tries < 1000 && fd_kind(fd) == FD_CONN; tries++) { // it may come and go while we look
        struct file *f = file_get(fd);
        if (!f)
            return NULL;
        struct sl_shared *s = shared();
        int h = atomic_load(&f->handle);
        if (f->kind == FD_CONN && s && h >= 0 && atomic_load(&s->words[h].moved) == 0)
            return f;
        if (f->kind == FD_CONN && (!s || h < 0))
            file_adopt(f);
        else if (f->kind == FD_CONN)
            file_settle(f);
        file_put(f);
    }
    return NULL;
}

#define HANDSHAKE 1000000000 // ns in which one that is under way is waited for

int conn_handover(int fd, struct file *f)
{
    int r = -EBUSY;
    stage_flush(f);
    for (int64_t until = 0; r == -EBUSY && (until == 0 || now_ns() < until);) {
        r = ENGINE(sl_handover, atomic_load(&f->handle));
        PROBE(handover, atomic_load(&f->handle), r);
        if (r == -EBUSY) {
            struct pollfd p[SLEEP_ENGINE];
            struct timespec ms = { 0, 5000000 };
            until = until ? until : now_ns() + HANDSHAKE; // by the clock: signals make the waits short
            RAW(SYS_ppoll, p, shared() ? sleep_engine(shared(), p) : 0, &ms, NULL, 0);
            ENGINE(sl_poll, 0);
        }
    }
    if (r >= 0 || r == SL_MOVED) {
        file_settle(f);
        return 0;
    }
    (void)fd;
    return r;
}

int handover_fd(int fd)
{
    struct file *f = conn_get(fd);
    if (!f)
        return 0;
    int r = conn_handover(fd, f);
    file_put(f);
    return r;
}

void handover_for_good(int fd)
{
    handover_fd(fd);
    kconn_pin(fd);
}

void handover_to_libc(int fd)
{
    handover_for_good(fd);
    if (fd_kind(fd) == FD_KCONN)
        fd_drop(fd);
}

static void handover_open(int fd, struct file *f, void *arg)
{
    (void)arg;
    if ((f->kind == FD_CONN || f->kind == FD_KCONN) && RAW(SYS_fcntl, fd, F_GETFD) == 0)
        handover_for_good(fd);
}

void handover_inherited(void)
{
    if (atomic_load(&fd_files) != 0)
        fd_each(NULL, handover_open, NULL);
    fresh_inherited();
}

static void handover_any(int fd, struct file *f, void *arg)
{
    (void)arg;
    if (f->kind == FD_CONN || f->kind == FD_KCONN)
        handover_for_good(fd);
}

void handover_all(void)
{
    if (atomic_load(&fd_files) != 0)
        fd_each(NULL, handover_any, NULL);
}

struct file *conn_bind(int fd, int h, bool nonblock)
{
    struct file *f = file_new(FD_CONN);
    if (f) {
        file_set_handle(f, h);
        atomic_store(&f->nonblock, nonblock);
        if (fd_bind(fd, f))
            return f;
        file_put(f);
        return NULL;
    }
    ENGINE(sl_close, h);
    return NULL;
}

void file_adopt(struct file *f)
{
    settle_wait(true);
    if (!f->settled) {
        f->settled = true;
        int kernel = door_want(f->owner, f->foreign);
        if (kernel < 0)
            kernel = heirs_inherit(f);
        if (kernel < 0) {
            log_line(LOG_ERROR, "an inherited connection could not be fetched from the process that has it");
            kernel = gone_socket();
        }
        if (kernel >= 0)
            settle_as(f, kernel, NULL);
    }
    settle_wait(false);
}

static void file_forked(int fd, struct file *f, void *arg)
{
    if (f->kind == FD_KCONN)
        fd_drop(fd); // the parent has it, too
    int h = atomic_load(&f->handle);
    if (f->kind == FD_CONN && h >= 0) {
        f->owner = *(int *)arg;
        f->foreign = h;
    }
    if (h >= 0)
        file_set_handle(f, -1);
    atomic_store(&f->retry_ns, 0);
}

static void file_left(int fd, struct file *f, void *arg)
{
    (void)fd, (void)arg;
    if (f->kind == FD_CONN)
        file_settle(f);
    else if (f->kind == FD_LISTENER && atomic_load(&f->handle) >= 0)
        file_set_handle(f, -1);
}

void files_left(void) { fd_each(NULL, file_left, NULL); }

void files_forked(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&settle_lock, &fresh, sizeof fresh);
    settle_here = false;
    int parent = engine_pid;
    fd_forked();
    if (atomic_load(&fd_files) != 0)
        fd_each(NULL, file_forked, &parent);
}

void file_dispose(struct file *f)
{
    stage_flush(f);
    epoll_file_closed(f);
    if (f->kept >= 0)
        own_drop(f->kept);
    if (f->owner && !f->settled)
        heirs_release(f);
    int h = atomic_load(&f->handle);
    if (h < 0)
        return;
    file_set_handle(f, -1);
    if (!shared())
        return;
    int r = ENGINE(sl_close, h);
    PROBE(close, h, r);
    if (r >= 0 && (r & SL_KERNEL_FD) && !f->settled)
        RAW(SYS_close, r & ~SL_KERNEL_FD);
}
