// A handful of buffers is kept; more are mapped and unmapped as needed.
#include "scratch.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#include "raw.h"

static _Atomic(char *) kept[4];

char *scratch_get(void)
{
    for (int i = 0; i < 4; i++) {
        char *buf = atomic_exchange(&kept[i], NULL);
        if (buf)
            return buf;
    }
    long p = RAW(SYS_mmap, 0, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p < 0 && p > -4096 ? NULL : (char *)p;
}

void scratch_put(char *buf)
{
    for (int i = 0; i < 4; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&kept[i], &none, buf))
            return;
    }
    RAW(SYS_munmap, buf, SCRATCH);
}
