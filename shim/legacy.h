// What a process that ends leaves to its forked children.
#ifndef SLUICE_LEGACY_H
#define SLUICE_LEGACY_H

// legacy_give leaves kernel socket kernel, which was connection handle of this process, to the child at the other end of to; legacy_done ends that.
void legacy_give(int to, int handle, int kernel);
void legacy_done(void);
// legacy_take: what the parent at the other end of from left of its connection handle: a kernel socket, close-on-exec, or -1.
int legacy_take(int from, int handle);

#endif
