// select and pselect, by way of poll. Sets are read as plain words: the program's fd_set may be longer than FD_SETSIZE.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fdmap.h"
#include "poll_run.h"
#include "probe.h"
#include "real.h"
#include "wait_run.h"

#define WORD (8 * (int)sizeof(unsigned long))
#define READ_BITS (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define WRITE_BITS (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define EXCEPT_BITS POLLPRI

// The three sets of a call: read, write, except; any may be NULL.
struct sets {
    unsigned long *of[3];
    int n;
};
static const short asks[3] = { POLLIN | POLLRDNORM | POLLRDBAND, POLLOUT | POLLWRNORM | POLLWRBAND, POLLPRI };
static const short answers[3] = { READ_BITS, WRITE_BITS, EXCEPT_BITS };

static bool has(const unsigned long *set, int fd) { return set && set[fd / WORD] >> fd % WORD & 1; }

static unsigned long any(const struct sets *s, int word)
{
    unsigned long bits = 0;
    for (int k = 0; k < 3; k++)
        bits |= s->of[k] ? s->of[k][word] : 0;
    int left = s->n - word * WORD;
    return left >= WORD ? bits : bits & ((1ul << left) - 1);
}

// each_fd calls fn for every descriptor in any set until it returns false.
static bool each_fd(const struct sets *s, bool (*fn)(int fd, void *arg), void *arg)
{
    for (int word = 0; word * WORD < s->n; word++)
        for (unsigned long bits = any(s, word); bits; bits &= bits - 1)
            if (!fn(word * WORD + __builtin_ctzl(bits), arg))
                return false;
    return true;
}

static bool not_ours(int fd, void *arg)
{
    (void)arg;
    return fd_load(fd) == 0 || !poll_ours(fd);
}

static bool count_one(int fd, void *arg)
{
    (void)fd;
    ++*(int *)arg;
    return true;
}

struct fill {
    const struct sets *s;
    struct pollfd *next;
};

#define WAS_OPEN POLLREMOVE // in events, where it asks for nothing: the descriptor was open when the call began

static bool fill_one(int fd, void *arg)
{
    struct fill *f = arg;
    short events = 0;
    for (int k = 0; k < 3; k++)
        if (has(f->s->of[k], fd))
            events |= asks[k];
    *f->next++ = (struct pollfd){ .fd = fd, .events = fd_load(fd) != 0 ? events | WAS_OPEN : events };
    return true;
}

// count_hits: how many bits the answer has; entries that poll reports for a reason that select does not know (POLLHUP
// of a descriptor asked for writing) are put aside. -EBADF as the kernel, to which one that was closed meanwhile is ready for anything.
static int count_hits(const struct sets *s, struct pollfd *p, int n)
{
    int hits = 0;
    for (int i = 0; i < n; i++) {
        if (p[i].fd < 0 || p[i].revents == 0)
            continue;
        if (p[i].revents & POLLNVAL && !(p[i].events & WAS_OPEN))
            return -EBADF;
        if (p[i].revents & POLLNVAL)
            p[i].revents = READ_BITS | WRITE_BITS | EXCEPT_BITS;
        int mine = 0;
        for (int k = 0; k < 3; k++)
            mine += has(s->of[k], p[i].fd) && p[i].revents & answers[k];
        if (mine == 0)
            p[i].fd = ~p[i].fd;
        hits += mine;
    }
    return hits;
}

// answer fills in the program's sets. False: there is no writing them.
static bool answer(const struct sets *s, const struct pollfd *p, int n)
{
    struct sets was = *s;
    int words = (s->n + WORD - 1) / WORD;
    for (int k = 0; k < 3; k++)
        for (int w = 0; s->of[k] && w < words; w++) {
            unsigned long keep = 0;
            for (int i = 0; i < n; i++)
                if (p[i].fd >= 0 && p[i].fd / WORD == w && has(was.of[k], p[i].fd) && p[i].revents & answers[k])
                    keep |= 1ul << p[i].fd % WORD;
            if (!probe_copy(&s->of[k][w], &keep, sizeof keep))
                return false;
        }
    return true;
}

static int select_run(const struct sets *s, int64_t deadline, const sigset_t *mask)
{
    int n = 0;
    each_fd(s, count_one, &n);
    struct pollfd few[64], *p = n <= 64 ? few : malloc((size_t)n * sizeof *p);
    if (!p)
        return -ENOMEM;
    struct fill f = { .s = s, .next = p };
    each_fd(s, fill_one, &f);
    int r, hits = 0;
    do {
        r = poll_run(p, (nfds_t)n, deadline, mask);
        hits = r > 0 ? count_hits(s, p, n) : r;
    } while (r > 0 && hits == 0);
    if (hits >= 0 && !answer(s, p, n))
        hits = -EFAULT;
    if (p != few)
        free(p);
    return hits;
}

// sets_of: false: nothing of ours in them, or a bad n: the kernel's call.
static bool sets_of(struct sets *s, int n, fd_set *r, fd_set *w, fd_set *e)
{
    *s = (struct sets){ .of = { (unsigned long *)r, (unsigned long *)w, (unsigned long *)e }, .n = n };
    if (n <= 0 || atomic_load_explicit(&fd_files, memory_order_relaxed) == 0)
        return false;
    if (n > FD_MAX)
        s->n = FD_MAX;
    for (int i = 0; i < 3; i++)
        if (s->of[i] && !probe_there(s->of[i], (size_t)(s->n + 7) / 8))
            return false;
    return !each_fd(s, not_ours, NULL);
}

static int finish(int r)
{
    if (r >= 0)
        return r;
    errno = -r;
    return -1;
}

INTERPOSE int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t)
{
    struct sets s;
    if (!sets_of(&s, n, r, w, e) || (t && (!probe_there(t, sizeof *t) || t->tv_sec < 0 || t->tv_usec < 0)))
        return real.select(n, r, w, e, t);
    struct timespec ts = { 0 };
    if (t)
        ts = (struct timespec){ .tv_sec = t->tv_sec + t->tv_usec / 1000000, .tv_nsec = t->tv_usec % 1000000 * 1000 };
    int64_t deadline;
    deadline_ts(t ? &ts : NULL, &deadline);
    int got = select_run(&s, deadline, NULL);
    if (got == -ENOSYS)
        return real.select(n, r, w, e, t);
    if (t && deadline > 0) { // Linux tells the time left
        int64_t left = deadline - now_ns();
        left = left < 0 ? 0 : left / 1000;
        struct timeval rest = { .tv_sec = left / 1000000, .tv_usec = left % 1000000 };
        probe_copy(t, &rest, sizeof rest);
    }
    return finish(got);
}

INTERPOSE int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t, const sigset_t *mask)
{
    struct sets s;
    int64_t deadline;
    if (!sets_of(&s, n, r, w, e) || (t && !probe_there(t, sizeof *t)) || (mask && !probe_there(mask, 8)) || deadline_ts(t, &deadline) != 0)
        return real.pselect(n, r, w, e, t, mask);
    int got = select_run(&s, deadline, mask);
    return got == -ENOSYS ? real.pselect(n, r, w, e, t, mask) : finish(got);
}
