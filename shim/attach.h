// Connections of the kernel that somebody wants in the engine (`sluice attach`).
#ifndef SLUICE_ATTACH_H
#define SLUICE_ATTACH_H

#include <stdatomic.h>
#include <stdint.h>

struct sl_shared;

uint32_t attach_seen(void); // the wish that was served last (cabi.h)
// attach_serve serves the wish under way, if there is one. The helper thread's.
void attach_serve(struct sl_shared *s);
// attach_gen grows with every move: whoever polls kernel sockets looks again what is his.
extern _Atomic uint32_t attach_gen;

#endif
