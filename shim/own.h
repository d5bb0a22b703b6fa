// See own.c; the calls that others use are in fdmap.h.
#ifndef SLUICE_OWN_H
#define SLUICE_OWN_H

#include <stdatomic.h>
#include <stdint.h>

#include "../cabi/cabi.h"

int own_base(void); // the lowest number for a descriptor of our own

void own_sync(struct sl_shared *s);   // marks what the engine lists as its own
void own_forked(struct sl_shared *s); // in a child: closes its parent's engine's descriptors
extern _Atomic uint32_t own_seen;     // the list's own_changes that we have seen

#endif
