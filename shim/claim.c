// Such a connection is watched (kconn.h) from the moment that somebody wants it: in the way of a program that nobody asks for anything, there is
// nothing. But a thread may have looked before then what its descriptor is, and be in a call on it, or on its way to one. So each must have been
// seen since, asleep in a call that has to do with another: what it does next, it looks anew.
#include "claim.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

#include "attach.h"
#include "clock.h"
#include "conn_io.h"
#include "engine.h"
#include "fresh.h"
#include "kconn.h"
#include "knobs.h"
#include "probe.h"
#include "raw.h"
#include "real.h"
#include "rules.h"

#define PATIENCE 100000000 // ns that the claims of a wish wait for threads, in all: who waits is the engine's helper
#define SETTLE 2000000     // ns in which a thread that is not asleep in a call has come to it

static int64_t until; // the wish's patience lasts

static void nap(long ns)
{
    struct timespec t = { .tv_nsec = ns };
    RAW(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

// selected: the knobs meant the connection for the engine.
static bool selected(int fd, enum fresh whose)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    if (RAW(SYS_getpeername, fd, &peer, &n) < 0)
        return false;
    return whose == FRESH_ACCEPTED || rules_match(&knobs.connect, (struct sockaddr *)&peer, n);
}

// plain: nobody gets signals of it.
static bool plain(int fd) { return !(RAW(SYS_fcntl, fd, F_GETFL) & O_ASYNC) && RAW(SYS_fcntl, fd, F_GETOWN) == 0; }

// claim: 1: fd is watched now; 0: it is none that is wished; -1: it can't be.
static int claim(int fd)
{
    enum fresh whose = fresh_whose(fd);
    if (fd_load(fd) != 0 || whose == FRESH_UNKNOWN || !selected(fd, whose) || ENGINE(sl_wished, fd) != 1)
        return 0;
    if (whose == FRESH_OTHERS || kernels_own(fd) || !plain(fd))
        return -1;
    struct file *k = file_new(FD_KCONN);
    if (!k)
        return -1;
    k->unsure = true;
    bool bound = fd_bind(fd, k);
    file_put(k);
    return bound ? 1 : -1;
}

int claim_wished(void)
{
    int left = 0, some = 0;
    for (int fd = fresh_next(3); fd >= 0; fd = fresh_next(fd + 1)) { // those below may be streams'
        int r = claim(fd);
        some += r > 0, left += r < 0;
    }
    if (some > 0)
        nap(SETTLE);
    until = now_ns() + PATIENCE;
    return left;
}

// in_poll: such a call has fd among its n entries, and is none of ours: those wait for a descriptor of ours, too, and look anew after a move.
static bool in_poll(uintptr_t fds, unsigned long n, int fd)
{
    bool has = false, ours = false;
    struct pollfd p;
    for (unsigned long i = 0; i < n; i++) {
        if (!probe_copy(&p, (void *)(fds + i * sizeof p), sizeof p))
            return true;
        has = has || p.fd == fd;
        ours = ours || (p.fd >= 0 && fd_kind(p.fd) == FD_OWN);
    }
    return has && !ours;
}

static bool in_sets(const unsigned long *a, int fd)
{
    for (int i = 1; i <= 3; i++) {
        unsigned long word = 0, bit = 1ul << fd % (8 * (int)sizeof word);
        uintptr_t at = a[i] + (size_t)fd / (8 * sizeof word) * sizeof word;
        if (a[i] && (unsigned long)fd < a[0] && (!probe_copy(&word, (void *)at, sizeof word) || word & bit))
            return true;
    }
    return false;
}

// concerns: system call nr, in which a thread is asleep, has to do with fd.
static bool concerns(long nr, const unsigned long *a, int fd)
{
    switch (nr) {
    case SYS_futex: case SYS_nanosleep: case SYS_clock_nanosleep: case SYS_wait4: case SYS_rt_sigtimedwait:
        return false;
#ifdef SYS_poll
    case SYS_poll:
#endif
    case SYS_ppoll:
        return in_poll(a[0], a[1], fd);
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
        return in_sets(a, fd);
    case SYS_sendfile:
        return a[0] == (unsigned long)fd || a[1] == (unsigned long)fd;
    case SYS_splice:
        return a[0] == (unsigned long)fd || a[2] == (unsigned long)fd;
    default: // epoll_wait names its set: who waits there is woken (epoll_take.c)
        return a[0] == (unsigned long)fd;
    }
}

// elsewhere: thread tid has ended, or is asleep in a call that does not concern fd.
static bool elsewhere(const char *tid, int fd)
{
    char path[sizeof "/proc/self/task//syscall" + 24], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%.24s/syscall", tid);
    long file = RAW(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return file == -ENOENT;
    long n = RAW(SYS_read, file, line, sizeof line - 1), nr;
    RAW(SYS_close, file);
    if (n <= 0)
        return n == -ESRCH;
    line[n] = 0;
    unsigned long a[6];
    return sscanf(line, "%ld %lx %lx %lx %lx %lx %lx", &nr, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]) == 7 && nr >= 0 && !concerns(nr, a, fd);
}

// all_elsewhere: each thread but this one was seen so, before a moment was over.
static bool all_elsewhere(int fd)
{
    char self[24];
    snprintf(self, sizeof self, "%ld", RAW(SYS_gettid));
    DIR *tasks = opendir("/proc/self/task");
    bool all = tasks != NULL;
    for (struct dirent *d; all && (d = readdir(tasks));) {
        bool it = d->d_name[0] != '.' && strcmp(d->d_name, self) != 0;
        while (it && !elsewhere(d->d_name, fd) && (all = now_ns() < until))
            nap(20000);
    }
    if (tasks)
        closedir(tasks);
    return all;
}

bool claim_sure(struct file *k)
{
    int fd = atomic_load(&k->fd);
    if (!k->unsure)
        return true;
    enum fresh whose = fresh_whose(fd);
    if (whose != FRESH_CONNECTED && whose != FRESH_ACCEPTED) { // closed while it was bound, or a fork came before
        if (whose == FRESH_UNKNOWN && file_is(k, fd))
            fd_drop(fd);
        return false;
    }
    if (!all_elsewhere(fd))
        return false;
    k->unsure = false;
    return true;
}
