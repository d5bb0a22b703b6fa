// Connections that the kernel made unwatched: by connect when the engine was not there or refused, by accept before there was one.
#ifndef SLUICE_CLAIM_H
#define SLUICE_CLAIM_H

#include "fdmap.h"

// claim_wished begins to watch those that the wish under way names. Returns how many of them cannot be: they are another process's, too, or
// something was asked of them that only the kernel does.
int claim_wished(void);
// claim_sure: no call on k that began unwatched is under way any more. It waits for that, for a moment.
bool claim_sure(struct file *k);

#endif
