// A handful of buffers is kept; more are mapped and unmapped as needed.
#include "scratch.h"

#include <stdatomic.h>
#include <stddef.h>

#include "pages.h"

static _Atomic(char *) kept[4];

char *scratch_get(void)
{
    for (int i = 0; i < 4; i++) {
        char *buf = atomic_exchange(&kept[i], NULL);
        if (buf)
            return buf;
    }
    return pages_new(SCRATCH);
}

void scratch_put(char *buf)
{
    for (int i = 0; i < 4; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&kept[i], &none, buf))
            return;
    }
    pages_free(buf, SCRATCH);
}
