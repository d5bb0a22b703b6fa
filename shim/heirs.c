// For each fork that hands connections down there is a pair of sockets. The child keeps one (hidden, as all of ours) and writes the
// number of each connection that it closes; the end of what comes means that the child, and whoever it forked, is gone or runs
// another program. A thread of the parent reads. Until then the parent's file holds a reference, so closing it there does not end
// the connection, and its number in the engine stays its own. A parent that ends first leaves what it has to its children, the same way.
#include "heirs.h"

#include <errno.h>
#include <string.h>

#include "engine.h"
#include "hands.h"
#include "legacy.h"
#include "locks.h"
#include "log.h"
#include "ours.h"
#include "own.h"
#include "raw.h"
#include "threads.h"

#define FORKS 64 // that may have heirs at once; each is a bit of file->heirs

static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER; // one fork at a time
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    // of the list; held over a fork that has heirs
static struct file *list;             // files with heirs
static _Atomic int reader[FORKS];     // the parent's ends of the pairs, + 1
static _Atomic int watch = -1;        // epoll set of them
static _Atomic int will = -1;         // in a child: its end
static int will_of;                   // and whose child it is
static bool silent;                   // in a child: it forked itself, so closing here says nothing about the others
static int next[2] = { -1, -1 };      // the pair of the fork under way
static int next_bit;

static void list_lock(void)
{
    lock_takes(LOCK_HEIRS);
    pthread_mutex_lock(&lock);
    lock_has(LOCK_HEIRS, 1);
}

static void list_unlock(void)
{
    lock_has(LOCK_HEIRS, -1);
    pthread_mutex_unlock(&lock);
}

// drop: fork bit's heirs are done with one connection, or (handle < 0) with all. The last one's end may close it.
static void drop(int bit, int handle)
{
    uint64_t mask = 1ull << bit;
    struct file *done = NULL, *f;
    list_lock();
    for (struct file **at = &list; (f = *at);) {
        bool this = atomic_load(&f->heirs) & mask && (handle < 0 || atomic_load(&f->handle) == handle);
        if (this && (atomic_fetch_and(&f->heirs, ~mask) & ~mask) == 0) {
            *at = f->heir_next;
            f->heir_next = done, done = f;
        } else {
            at = &f->heir_next;
        }
    }
    list_unlock();
    while (done) {
        f = done;
        done = f->heir_next;
        f->heir_next = NULL;
        file_put(f);
    }
}

static void ended(int bit)
{
    int fd = atomic_load(&reader[bit]) - 1;
    if (fd < 0)
        return;
    // By hand: a child that was just forked may still have a copy of this end, and the set would go on to tell of it under a number
    // that by then is the next fork's.
    RAW(SYS_epoll_ctl, atomic_load(&watch), EPOLL_CTL_DEL, fd, NULL);
    drop(bit, -1);
    atomic_store(&reader[bit], 0);
    own_drop(fd);
}

static void *reader_main(void *arg)
{
    (void)arg;
    for (;;) {
        struct epoll_event ev;
        if (RAW(SYS_epoll_pwait, atomic_load(&watch), &ev, 1, -1, NULL, 8) != 1)
            continue;
        int bit = (int)ev.data.u32, handles[64];
        long n = RAW(SYS_read, atomic_load(&reader[bit]) - 1, handles, sizeof handles);
        if (n <= 0 && n != -EAGAIN)
            ended(bit);
        for (long i = 0; n > 0 && i < n / (long)sizeof handles[0]; i++)
            drop(bit, handles[i]);
    }
    return NULL;
}

static bool reader_start(void)
{
    if (atomic_load(&watch) >= 0)
        return true;
    int fd = (int)RAW(SYS_epoll_create1, EPOLL_CLOEXEC);
    if (fd < 0 || own_move(fd, &watch) < 0)
        return false;
    bool began = thread_ours(reader_main, NULL);
    if (!began)
        own_close(&watch);
    return began;
}

static bool handed_down(struct file *f)
{
    return f->kind == FD_KCONN || (f->kind == FD_CONN && atomic_load(&f->handle) >= 0 && !f->settled);
}

static void count(int fd, struct file *f, void *n)
{
    (void)fd;
    *(int *)n += handed_down(f);
}

static int free_bit(void)
{
    for (int i = 0; i < FORKS; i++)
        if (atomic_load(&reader[i]) == 0)
            return i;
    return -1;
}

static void hand_down(int fd, struct file *f, void *arg)
{
    (void)arg;
    uint64_t bit = 1ull << next_bit;
    if (f->kind == FD_KCONN && RAW(SYS_fcntl, fd, F_GETFD) == 0)
        atomic_store(&f->pinned, true); // a program that the child starts has it, after the end
    if (!handed_down(f) || atomic_load(&f->heirs) & bit)
        return;
    if (atomic_fetch_or(&f->heirs, bit) == 0) {
        file_hold(f);
        f->heir_next = list, list = f;
    }
}

// next_pair makes the two ends that the next child and its parent talk by.
static bool next_pair(void)
{
    bool whole = RAW(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, next) >= 0;
    for (int i = 0; i < 2 && whole; i++)
        next[i] = own_move(next[i], NULL);
    if (whole && next[0] >= 0 && next[1] >= 0)
        return true;
    for (int i = 0; i < 2; i++) {
        if (whole && next[i] >= 0)
            own_drop(next[i]);
        next[i] = -1;
    }
    return false;
}

void heirs_prepare(void)
{
    int conns = 0;
    hands_off(1);
    lock_takes(LOCK_FORKING);
    pthread_mutex_lock(&forking);
    lock_has(LOCK_FORKING, 1);
    settle_wait(true); // what is half the kernel's would be so to the child for ever; and who settles must know that there are heirs
    silent = silent || atomic_load(&will) >= 0;
    next[0] = next[1] = -1;
    if (shared() && atomic_load(&fd_files) != 0)
        fd_each(NULL, count, &conns);
    if (conns == 0)
        return;
    next_bit = free_bit();
    if (next_bit < 0 || !reader_start() || !next_pair()) {
        settle_wait(false);
        handover_all(); // too many children, or descriptors: then the kernel keeps the connections for all
        settle_wait(true);
        return;
    }
    list_lock();
    fd_each(NULL, hand_down, NULL);
}

void heirs_parent(void)
{
    if (next[0] >= 0) {
        atomic_store(&reader[next_bit], next[0] + 1);
        list_unlock();
        own_drop(next[1]);
        struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (uint32_t)next_bit };
        RAW(SYS_epoll_ctl, atomic_load(&watch), EPOLL_CTL_ADD, next[0], &ev); // a fork that failed ends at once
    }
    settle_wait(false);
    lock_has(LOCK_FORKING, -1);
    pthread_mutex_unlock(&forking);
    hands_off(-1);
}

static void child_file(int fd, struct file *f, void *arg)
{
    (void)fd, (void)arg;
    atomic_store(&f->heirs, 0);
}

void heirs_child(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&lock, &fresh, sizeof fresh);
    memcpy(&forking, &fresh, sizeof fresh);
    for (int i = 0; i < FORKS; i++) {
        int fd = atomic_exchange(&reader[i], 0) - 1;
        if (fd >= 0)
            own_drop(fd);
    }
    own_close(&watch);
    if (next[0] >= 0) {
        own_drop(next[0]);
        if (atomic_load(&will) < 0)
            own_add(next[1], &will), will_of = engine_pid; // else both stay open until the end
    }
    next[0] = next[1] = -1;
    if (atomic_load(&fd_files) != 0)
        fd_each(NULL, child_file, NULL);
    while (list) { // the references were for this process's own children
        struct file *f = list;
        list = f->heir_next;
        f->heir_next = NULL;
        atomic_store(&f->heirs, 0);
        file_put(f);
    }
}

void heirs_release(struct file *f)
{
    int fd = atomic_load(&will);
    if (fd < 0 || silent || RAW(SYS_sendto, fd, &f->foreign, sizeof f->foreign, MSG_NOSIGNAL) >= 0)
        return;
    int kernel = heirs_inherit(f); // the parent is gone: what it left is closed here
    if (kernel >= 0)
        RAW(SYS_close, kernel);
}

void heirs_leave(void)
{
    settle_wait(true); // before the list, as a fork does in another thread
    list_lock();
    for (struct file *f = list; f; f = f->heir_next)
        file_settle_now(f); // one that only the children have open
    for (int bit = 0; bit < FORKS; bit++)
        for (struct file *f = list; f && atomic_load(&reader[bit]); f = f->heir_next)
            if (atomic_load(&f->heirs) & 1ull << bit && f->kept >= 0)
                legacy_give(atomic_load(&reader[bit]) - 1, atomic_load(&f->handle), f->kept);
    legacy_done();
    list_unlock();
    settle_wait(false);
}

int heirs_inherit(struct file *f)
{
    int fd = atomic_load(&will);
    return fd >= 0 && f->owner == will_of ? legacy_take(fd, f->foreign) : -1;
}
