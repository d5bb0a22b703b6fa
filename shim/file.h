// What happens to open files as descriptors come and go: between the fd map and the calls that use it.
#ifndef SLUICE_FILE_H
#define SLUICE_FILE_H

#include "fdmap.h"

// file_dispose: the last reference is gone: close the engine's side, forget it in epoll sets.
void file_dispose(struct file *f);
// file_note_fd remembers fd as the descriptor to ask the kernel by (an fd_each callback).
void file_note_fd(int fd, struct file *f, void *arg);
// fd_mark makes fd a descriptor without a file (FD_OWN, or FD_KERNEL to forget).
bool fd_mark(int fd, enum fd_kind kind);

#endif
