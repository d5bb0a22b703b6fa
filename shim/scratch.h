// Buffers for copies: taken from and given back to a small pool, never from malloc.
#ifndef SLUICE_SCRATCH_H
#define SLUICE_SCRATCH_H

#define SCRATCH (64 << 10)

char *scratch_get(void); // SCRATCH octets; NULL: no memory
void scratch_put(char *buf);

#endif
