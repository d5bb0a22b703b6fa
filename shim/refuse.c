// A runtime needs address space and system calls that a confined process may not have: found out before it is loaded.
#include "refuse.h"

#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <fcntl.h>

#include "raw.h"
#include "rules.h"

static long filters_at_start;

// status_field: the number after "name:" in /proc/self/status, or -1.
static long status_field(const char *name)
{
    char buf[4096];
    long fd = RAW(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    long n = RAW(SYS_read, fd, buf, sizeof buf - 1);
    RAW(SYS_close, fd);
    buf[n > 0 ? n : 0] = 0;
    char *at = strstr(buf, name);
    if (!at)
        return -1;
    at += strlen(name);
    at += strspn(at, ":\t ");
    return number(at, (int)strspn(at, "0123456789"), 1L << 40);
}

static long seccomp_filters(void)
{
    return RAW(SYS_prctl, PR_GET_SECCOMP) == 0 ? 0 : status_field("\nSeccomp_filters");
}

void refuse_start(void) { filters_at_start = seccomp_filters(); }

// Go reserves address space generously; the umem and the heap come on top.
static bool tight(int resource, long used_kb)
{
    struct rlimit r;
    const rlim_t need = 2UL << 30;
    if (RAW(SYS_prlimit64, 0, resource, 0, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return false;
    rlim_t used = used_kb > 0 ? (rlim_t)used_kb << 10 : 0;
    return r.rlim_cur < used || r.rlim_cur - used < need;
}

// few: a runtime that gets no thread ends its process. The kernel does not count root's.
static bool few(void)
{
    struct rlimit r;
    return RAW(SYS_getuid) != 0 && RAW(SYS_prlimit64, 0, RLIMIT_NPROC, 0, &r) == 0 && r.rlim_cur < 64;
}

bool refuse_confined(void) { return seccomp_filters() != filters_at_start; }

const char *refuse_reason(void)
{
    if (refuse_confined())
        return "the program confined itself with seccomp: the kernel serves its listeners";
    if (few())
        return "the limit on processes (RLIMIT_NPROC) leaves the engine no threads: the kernel serves";
    if (tight(RLIMIT_AS, status_field("\nVmSize")))
        return "the limit on address space (RLIMIT_AS) is too tight for the engine: the kernel serves";
    if (tight(RLIMIT_DATA, status_field("\nVmData")))
        return "the limit on data (RLIMIT_DATA) is too tight for the engine: the kernel serves";
    return NULL;
}
