// The kernel's socket behind a connection of the engine's: a placeholder that accepted connections have in common.
#ifndef SLUICE_BEHIND_H
#define SLUICE_BEHIND_H

#include "fdmap.h"
#include "real.h"

// behind_judged: what the kernel says to an option of a socket like the one behind fd, asked of one of no use: 0 or -errno.
int behind_judged(int fd, int level, int name, const void *val, socklen_t len);
// behind_own puts a socket of its own behind each descriptor of f, if it has the placeholder: options that are set there are f's alone. False: no socket
// is to be had.
bool behind_own(struct file *f);

#endif
