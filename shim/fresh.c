#include "fresh.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "fdmap.h"
#include "knobs.h"
#include "pages.h"
#include "raw.h"
#include "../cabi/cabi.h"

_Atomic bool fresh_some;

// entry: number of forks << 49 | cookie << 2 | the kernel chose the port | AF_INET6; 0: nothing is known
#define COOKIE ((1ull << 47) - 1)
#define FORKS 0x7fffull
#define CHOSEN 2ull

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

static uint64_t value(int fd, int domain)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;
    if (RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) < 0)
        return 0;
    return (atomic_load(&forks) & FORKS) << 49 | (cookie & COOKIE) << 2 | (domain == AF_INET6);
}

void fresh_socket(int fd, int domain, int type, int proto)
{
    bool tcp = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM && (proto == 0 || proto == IPPROTO_TCP);
    entry *e = NULL;
    if (fd < 0 || !knobs.on || knobs.connect.n == 0 || !tcp || (domain != AF_INET && domain != AF_INET6) || !(e = entry_of(fd, true)))
        return;
    atomic_store(e, value(fd, domain));
    atomic_store_explicit(&fresh_some, true, memory_order_relaxed);
}

void fresh_end(int fd)
{
    entry *e = atomic_load_explicit(&fresh_some, memory_order_relaxed) ? entry_of(fd, false) : NULL;
    if (e && !(atomic_load_explicit(e, memory_order_relaxed) & CHOSEN))
        atomic_store_explicit(e, 0, memory_order_relaxed);
}

int fresh_take(int fd, int domain)
{
    entry *e = entry_of(fd, false);
    uint64_t was = e ? atomic_exchange(e, 0) : 0;
    if (was == 0 || (was ^ value(fd, domain)) & (COOKIE << 2 | 1)) // another's
        return 0;
    if (was & CHOSEN)
        return SL_CHOSEN;
    return was >> 49 == (atomic_load(&forks) & FORKS) ? SL_FRESH : 0;
}

void fresh_bound(int fd, const struct sockaddr *sa, socklen_t n)
{
    in_port_t port; // at the same place in both families
    const struct sockaddr_in *at = (const void *)sa;
    entry *e = NULL;
    if (!atomic_load_explicit(&fresh_some, memory_order_relaxed) || n < sizeof *at || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return;
    memcpy(&port, &at->sin_port, sizeof port);
    if (port == 0 && (e = entry_of(fd, true)))
        atomic_store(e, value(fd, sa->sa_family) | CHOSEN);
}

void fresh_forking(void) { atomic_fetch_add(&forks, 1); }
