// Waiting: what blocking calls, poll, select and epoll share. The calls below are the border between the switchboard (socket,
// data, option, process) and the waiting part (wait, ready, poll, select, epoll, helper).
#ifndef SLUICE_WAIT_H
#define SLUICE_WAIT_H

#include <stdint.h>

#include "fdmap.h"

// wait_handle blocks until one of the POLL* events (POLLHUP, POLLERR always) is ready on an engine handle; fd is a descriptor of
// it and handle a referenced file's. A listener's kernel side (fd) counts as well.
// 1: ready (or the handle moved: try the call again); 0: timeout_ns passed (< 0: none); -EINTR: a signal handler without
// SA_RESTART ran. With a timeout any handler interrupts, as in the kernel (SO_RCVTIMEO).
int wait_handle(int fd, int handle, uint32_t events, int64_t timeout_ns);

// after_engine is called after each crossing into the engine: looks at what changed and wakes who waits for it.
void after_engine(void);

// wait_start is called once, when the engine has started in this process: the helper thread, the sleepers.
void wait_start(void);
// wait_prepare and wait_parent are called around a fork, in the parent.
void wait_prepare(void);
void wait_parent(void);
// wait_forked is called in a forked child: all waiting state of the parent is void.
void wait_forked(void);

// The last descriptor of a file is being closed (under no lock): forget the items that name it; free the set if it is one.
void epoll_file_closed(struct file *f);
// fd named f and now names the kernel's own socket (hand-over): items for (fd, f) become items of the kernel's epoll set.
// Called for each descriptor of f after the dup2 over it.
void epoll_fd_moved(int fd, struct file *f);
// fd was a kernel socket and now names f (connect in the engine), or f is a listener that got a handle: entries of the kernel's epoll
// sets for fd become ours.
void epoll_fd_taken(int fd, struct file *f);

#endif
