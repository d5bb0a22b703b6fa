// What a thread remembers of its waits, and whether it spins then.
#include <stdio.h>
#include <stdlib.h>

#include "../../../shim/spin.h"

enum { USEC = 20, LONG = 2000 * USEC + 1, SHORT = 2000 * USEC };

#define must(cond, what) ((cond) ? (void)0 : (printf("failed: %s\n", what), exit(1)))

static spin_memory m;

static void waits(int n, int64_t ns)
{
    while (n-- > 0)
        spin_learn(&m, ns, USEC);
}

int main(void)
{
    must(spin_pays(m), "a new thread spins");
    waits(4, LONG);
    must(spin_pays(m), "half of the waits are long");
    waits(1, LONG);
    must(!spin_pays(m), "more than half are");
    waits(3 + 100, LONG);
    waits(3, SHORT);
    must(!spin_pays(m), "three short ones are not half");
    waits(1, SHORT);
    must(spin_pays(m), "four are, whatever was before");
    for (int i = 0; i < 100; i++) {
        waits(1, LONG);
        waits(1, 0);
        must(spin_pays(m), "every other one is short");
    }
    return 0;
}
