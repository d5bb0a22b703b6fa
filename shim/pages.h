// Zeroed memory from the kernel: malloc may be the program's own, and a preloaded allocator the caller.
#ifndef SLUICE_PAGES_H
#define SLUICE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

// pages_new: NULL if the kernel refuses it and what is kept for that is not enough. Any thread, also in a signal handler.
void *pages_new(size_t bytes);
void pages_free(void *p, size_t bytes);
// pages_keep keeps some for when the kernel refuses it; again if some was taken. False: that can't be had now. One thread at a time.
bool pages_keep(void);

#endif
