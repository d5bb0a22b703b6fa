// Reads NAME=value, ended by a zero byte each, and tells for each what the preload object's parser makes of it: "refused", or
// what it understood. For FuzzKnobsAgree.
#include <stdio.h>
#include <string.h>

#include "knobs.h"

static void tell(const char *name, const struct rules *r)
{
    printf("%s", name);
    for (int i = 0; i < r->n; i++) {
        printf(" %d/%d/", r->rule[i].family, r->rule[i].bits);
        int bytes = r->rule[i].family == 4 ? 4 : r->rule[i].family == 6 ? 16 : 0;
        for (int k = 0, bits = r->rule[i].bits; k < bytes; k++, bits -= 8) // bits behind the prefix mean nothing
            printf("%02x", r->rule[i].addr[k] & (bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff00 >> bits & 0xff));
        printf("/%u-%u", r->rule[i].low, r->rule[i].top);
    }
    printf("\n");
}

int main(void)
{
    static char entry[1 << 20];
    for (;;) {
        size_t n = 0;
        for (int c; (c = getchar()) != 0; n++) {
            if (c == EOF || n + 1 == sizeof entry)
                return 0;
            entry[n] = (char)c;
        }
        entry[n] = 0;
        char *value = strchr(entry, '=');
        *value++ = 0;
        struct knobs k = { 0 };
        if (knob_set(&k, entry, value))
            printf("refused\n");
        else if (strcmp(entry, "SLUICE_LISTEN") == 0)
            tell("rules", &k.listen);
        else if (strcmp(entry, "SLUICE_CONNECT") == 0)
            tell("rules", &k.connect);
        else if (strcmp(entry, "SLUICE_SLOW_USEC") == 0)
            printf("%u\n", k.slow_usec);
        else if (strcmp(entry, "SLUICE_SPIN_USEC") == 0)
            printf("%u\n", k.spin_usec);
        else
            printf("taken\n");
        fflush(stdout);
    }
}
