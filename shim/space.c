// A program that limits its address space (RLIMIT_AS) or its data (RLIMIT_DATA) does not count on a runtime with it. The kernel is told a limit that
// is EXTRA higher, and the program told what it set. Until the engine comes a mapping that nobody can touch takes EXTRA, so that the
// limit on address space ends the program's mappings where it would without us.
#include "space.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "engine.h"
#include "process.h"
#include "raw.h"
#include "real.h"

// What Go reserves, the frames, and again for a forked child with an engine of its own. The bits below a page, which do not count in a limit, show that it was added:
// a program that is executed finds the limit, and nothing else of ours.
#define EXTRA ((4UL << 30) + MARK)
#define MARK  0x5c1UL
#define PAGE  4096UL

static _Atomic(void *) kept; // the mapping
static bool ours;            // this program's limits are ours to tell. A sanitizer's runtime asks for limits before anything of it, or of us, is ready

static const int limits[] = { RLIMIT_AS, RLIMIT_DATA };

static bool marked(rlim_t v) { return v != RLIM_INFINITY && v % PAGE == MARK && v >= EXTRA; }

static rlim_t less(rlim_t v) { return marked(v) ? v - EXTRA : v; }

static rlim_t more(rlim_t v) { return v == RLIM_INFINITY ? v : v + EXTRA; }

// fits: a limit that can be marked.
static bool fits(rlim_t v) { return v == RLIM_INFINITY || (v % PAGE == 0 && v < 1UL << 62); }

static long limit(pid_t pid, int resource, const struct rlimit *to, struct rlimit *was)
{
    return RAW(SYS_prlimit64, pid, resource, to, was);
}

void space_open(void)
{
    void *p = atomic_exchange(&kept, NULL);
    if (p)
        munmap(p, EXTRA & -PAGE);
}

// space_keep maps EXTRA if the limit on address space has it and there is no engine that needs it.
void space_keep(void)
{
    struct rlimit r;
    void *none = NULL;
    if (atomic_load(&kept) || engine_loaded || limit(0, RLIMIT_AS, NULL, &r) < 0 || !marked(r.rlim_cur))
        return;
    void *p = mmap(NULL, EXTRA & -PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED && !atomic_compare_exchange_strong(&kept, &none, p))
        munmap(p, EXTRA & -PAGE);
}

// raise_to sets what the program wants and what is ours. False: it can't be.
static bool raise_to(int resource, const struct rlimit *want)
{
    struct rlimit r = { more(want->rlim_cur), more(want->rlim_max) };
    return fits(want->rlim_cur) && fits(want->rlim_max) && limit(0, resource, &r, NULL) == 0;
}

void space_start(void)
{
    ours = true;
    for (int i = 0; i < 2; i++) {
        struct rlimit r;
        if (limit(0, limits[i], NULL, &r) == 0 && r.rlim_cur != RLIM_INFINITY && !marked(r.rlim_cur))
            raise_to(limits[i], &r); // without privilege the engine is refused when it is needed
    }
    space_keep();
}

// set is setrlimit of this process. Where the limit can't be ours the engine goes, unless there is room for it all the same.
static long set(int resource, const struct rlimit *want)
{
    bool end = want->rlim_cur == RLIM_INFINITY && want->rlim_max == RLIM_INFINITY;
    if (!end && process_self() && raise_to(resource, want)) {
        space_keep();
        return 0;
    }
    long r = limit(0, resource, want, NULL);
    if (r < 0 || !process_self())
        return r;
    if (resource == RLIMIT_AS)
        space_open();
    if (want->rlim_cur != RLIM_INFINITY)
        engine_confined();
    return r;
}

static long change(pid_t pid, int resource, const struct rlimit *want, struct rlimit *old)
{
    struct rlimit was;
    bool self = pid == 0 || pid == (pid_t)RAW(SYS_getpid);
    if (!ours || !self || (resource != RLIMIT_AS && resource != RLIMIT_DATA))
        return limit(pid, resource, want, old);
    if (want && limit(0, RLIM_NLIMITS, want, NULL) == -EFAULT) // there is no such limit
        return -EFAULT;
    long r = limit(0, resource, NULL, &was);
    if (r == 0 && want)
        r = set(resource, want);
    if (r == 0 && old && (r = limit(0, resource, NULL, old)) == 0)
        old->rlim_cur = less(was.rlim_cur), old->rlim_max = less(was.rlim_max);
    return r;
}

INTERPOSE int getrlimit(__rlimit_resource_t resource, struct rlimit *old)
{
    return (int)raw_result(change(0, (int)resource, NULL, old));
}

INTERPOSE int setrlimit(__rlimit_resource_t resource, const struct rlimit *want)
{
    return (int)raw_result(change(0, (int)resource, want, NULL));
}

INTERPOSE int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *want, struct rlimit *old)
{
    return (int)raw_result(change(pid, (int)resource, want, old));
}

// A limit has 64 bits under either name.
_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "rlimit64");
INTERPOSE int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *old)
{
    return getrlimit(resource, (struct rlimit *)old);
}

INTERPOSE int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *want)
{
    return setrlimit(resource, (const struct rlimit *)want);
}

INTERPOSE int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *want, struct rlimit64 *old)
{
    return prlimit(pid, resource, (const struct rlimit *)want, (struct rlimit *)old);
}

// carries tells whether the next program will be told the limits by us.
static bool carries(char *const envp[])
{
    for (; envp && *envp; envp++)
        if (strncmp(*envp, "LD_PRELOAD=", 11) == 0 && strstr(*envp, "libsluice.so"))
            return true;
    return false;
}

bool space_leave(char *const envp[])
{
    bool left = false;
    struct rlimit r;
    for (int i = 0; i < 2 && process_ours() && !carries(envp); i++)
        if (limit(0, limits[i], NULL, &r) == 0 && (marked(r.rlim_cur) || marked(r.rlim_max))) {
            r.rlim_cur = less(r.rlim_cur), r.rlim_max = less(r.rlim_max);
            left = limit(0, limits[i], &r, NULL) == 0 || left;
        }
    return left;
}

void space_back(bool left)
{
    int saved = errno;
    if (left)
        space_start();
    errno = saved;
}
