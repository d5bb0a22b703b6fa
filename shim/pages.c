// A process may be refused memory at any time: RLIMIT_AS can be lowered from outside to what it has. A connection that the engine has must not fail for that,
// as the kernel's would not: so some is mapped while that is allowed.
#include "pages.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "raw.h"

#define PAGE 4096UL
#define KEPT (2UL << 20) // files and epoll entries of some 5,000 connections

enum { BLOCKS = 4 }; // more than are looked at by anybody who is late
static _Atomic(char *) blocks[BLOCKS];
static _Atomic uint64_t kept; // which block, by a count that grows << 32 | how much of it is left, from its beginning on

static char *map(size_t bytes)
{
    long p = RAW(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p < 0 && p > -4096 ? NULL : (char *)p;
}

static void *take(size_t bytes)
{
    uint64_t was = atomic_load(&kept);
    bytes = (bytes + PAGE - 1) & -PAGE;
    while ((uint32_t)was >= bytes) {
        char *block = atomic_load(&blocks[(was >> 32) % BLOCKS]);
        if (atomic_compare_exchange_weak(&kept, &was, was - bytes))
            return block + (uint32_t)was - bytes;
    }
    return NULL;
}

void *pages_new(size_t bytes)
{
    void *p = map(bytes);
    return p ? p : take(bytes);
}

void pages_free(void *p, size_t bytes) { RAW(SYS_munmap, p, bytes); }

bool pages_keep(void)
{
    uint64_t was = atomic_load(&kept);
    if ((uint32_t)was == KEPT)
        return true;
    char *fresh = map(KEPT);
    if (!fresh)
        return false;
    uint64_t next = (was >> 32) + 1;
    atomic_store(&blocks[next % BLOCKS], fresh);
    while (!atomic_compare_exchange_weak(&kept, &was, next << 32 | KEPT))
        ;
    if ((uint32_t)was > 0)
        pages_free(atomic_load(&blocks[(was >> 32) % BLOCKS]), (uint32_t)was);
    return true;
}
