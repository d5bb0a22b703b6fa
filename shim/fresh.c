#include "fresh.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fdmap.h"
#include "knobs.h"
#include "pages.h"
#include "raw.h"
#include "recycle.h"
#include "../cabi/cabi.h"

_Atomic bool fresh_some;

// entry: number of forks << 49 | cookie << 6 | what is known; 0: nothing is
#define FORKS 0x7fffull
#define COOKIE_SHIFT 6
#define COOKIE (((1ull << 43) - 1) << COOKIE_SHIFT)
#define SIX 1ull      // AF_INET6
#define CHOSEN 2ull   // the kernel chose the port
#define TOUCHED 4ull  // something was done to it since socket()
#define ACCEPTED 8ull // else connected, or about to be
#define OTHERS 16ull  // not this process's alone
#define CLEAN 32ull   // connected by the engine when it was fresh; nothing was done to the socket behind it since

typedef _Atomic uint64_t entry;
static _Atomic(entry *) pages[FD_TOP];
static _Atomic uint64_t forks;

static entry *entry_of(int fd, bool make)
{
    if ((unsigned)fd >= FD_MAX)
        return NULL;
    entry *page = atomic_load_explicit(&pages[fd / FD_PAGE], memory_order_acquire), *other = NULL;
    if (!page && make) {
        page = pages_new(FD_PAGE * sizeof(entry));
        if (!page)
            return NULL;
        if (!atomic_compare_exchange_strong(&pages[fd / FD_PAGE], &other, page)) {
            pages_free(page, FD_PAGE * sizeof(entry));
            page = other;
        }
    }
    return page ? &page[fd % FD_PAGE] : NULL;
}

// known: the entry of fd, if there is one.
static entry *known(int fd)
{
    entry *e = atomic_load_explicit(&fresh_some, memory_order_relaxed) ? entry_of(fd, false) : NULL;
    return e && atomic_load_explicit(e, memory_order_relaxed) != 0 ? e : NULL;
}

static uint64_t value(int fd, uint64_t what)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    if (RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
        return 0;
    return (atomic_load(&forks) & FORKS) << 49 | (cookie << COOKIE_SHIFT & COOKIE) | what;
}

static bool forked_since(uint64_t v) { return v >> 49 != (atomic_load(&forks) & FORKS); }

static void note(int fd, uint64_t what)
{
    entry *e = entry_of(fd, true);
    if (!e)
        return;
    atomic_store(e, value(fd, what));
    atomic_store_explicit(&fresh_some, true, memory_order_relaxed);
}

void fresh_socket(int fd, int domain, int type, int proto)
{
    bool tcp = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM && (proto == 0 || proto == IPPROTO_TCP);
    if (fd >= 0 && knobs.on && knobs.connect.n > 0 && tcp && (domain == AF_INET || domain == AF_INET6))
        note(fd, domain == AF_INET6 ? SIX : 0);
}

void fresh_accepted(int fd) { note(fd, ACCEPTED | TOUCHED); }

void fresh_end(int fd)
{
    entry *e = known(fd);
    if (e && (atomic_load_explicit(e, memory_order_relaxed) & (TOUCHED | CLEAN)) != TOUCHED) {
        atomic_fetch_or(e, TOUCHED);
        atomic_fetch_and(e, ~CLEAN);
    }
}

void fresh_kernels(int fd)
{
    entry *e = known(fd);
    if (e)
        atomic_fetch_or(e, OTHERS | TOUCHED);
}

int fresh_take(int fd, int domain)
{
    entry *e = known(fd);
    uint64_t was = e ? atomic_fetch_or(e, TOUCHED) : 0;
    if (was == 0)
        return 0;
    if ((was ^ value(fd, domain == AF_INET6 ? SIX : 0)) & (COOKIE | SIX)) { // another's
        atomic_store(e, 0);
        return 0;
    }
    atomic_fetch_and(e, ~CHOSEN);
    if (was & CHOSEN)
        return SL_CHOSEN;
    if (was & (TOUCHED | OTHERS) || forked_since(was))
        return 0;
    atomic_fetch_or(e, CLEAN);
    return SL_FRESH;
}

static bool clean(uint64_t is) { return is & CLEAN && !(is & OTHERS) && !forked_since(is); }

bool fresh_clean(int fd)
{
    entry *e = known(fd);
    return e && clean(atomic_load(e));
}

bool fresh_leaves(int fd, int copy, struct fresh_socket *s)
{
    entry *e = known(fd);
    uint64_t is = e ? atomic_load(e) : 0;
    // The connection may have become the kernel's, and fd its socket, before copy was made.
    if (!clean(is) || (is ^ value(copy, 0)) & COOKIE || !atomic_compare_exchange_strong(e, &is, 0))
        return false;
    *s = (struct fresh_socket){ .id = is >> COOKIE_SHIFT, .six = is & SIX };
    return true;
}

bool fresh_again(int fd, const struct fresh_socket *s)
{
    entry *e = entry_of(fd, true);
    uint64_t v = value(fd, s->six ? SIX : 0);
    if (!e || v >> COOKIE_SHIFT != s->id) // a child that was made while it was kept may have it, too
        return false;
    atomic_store(e, v);
    return true;
}

void fresh_bound(int fd, const struct sockaddr *sa, socklen_t n)
{
    in_port_t port; // at the same place in both families
    const struct sockaddr_in *at = (const void *)sa;
    if (!atomic_load_explicit(&fresh_some, memory_order_relaxed) || n < sizeof *at || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return;
    memcpy(&port, &at->sin_port, sizeof port);
    if (port != 0)
        return;
    uint64_t six = sa->sa_family == AF_INET6 ? SIX : 0;
    entry *e = known(fd);
    if (e && !((atomic_load(e) ^ value(fd, six)) & (COOKIE | SIX)))
        atomic_fetch_or(e, CHOSEN | TOUCHED);
    else
        note(fd, six | CHOSEN | TOUCHED | OTHERS);
}

void fresh_forking(void)
{
    atomic_fetch_add(&forks, 1);
    recycle_flush();
}

int fresh_next(int from)
{
    if (!atomic_load_explicit(&fresh_some, memory_order_relaxed))
        return -1;
    for (int fd = from; fd < FD_MAX; fd++) {
        entry *page = atomic_load_explicit(&pages[fd / FD_PAGE], memory_order_acquire);
        if (!page)
            fd |= FD_PAGE - 1;
        else if (atomic_load_explicit(&page[fd % FD_PAGE], memory_order_relaxed) != 0)
            return fd;
    }
    return -1;
}

void fresh_inherited(void)
{
    for (int fd = fresh_next(0); fd >= 0; fd = fresh_next(fd + 1))
        if (RAW(SYS_fcntl, fd, F_GETFD) == 0)
            fresh_kernels(fd);
}

enum fresh fresh_whose(int fd)
{
    entry *e = known(fd);
    uint64_t is = e ? atomic_load(e) : 0;
    if (is == 0 || (is ^ value(fd, 0)) & COOKIE)
        return FRESH_UNKNOWN;
    if (is & OTHERS || forked_since(is))
        return FRESH_OTHERS;
    return is & ACCEPTED ? FRESH_ACCEPTED : FRESH_CONNECTED;
}
