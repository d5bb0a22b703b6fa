// Listening sockets: which ones the engine may have, and when it gets them.
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include <fcntl.h>

#include "fdmap.h"

// listener_consider: fd listens now: does a knob select it?
void listener_consider(int fd, int backlog);
// listener_adopt: fd came from elsewhere (exec, SCM_RIGHTS) and may be a listener.
void listener_adopt(int fd);
// listener_flags: the flags of the kernel's listener that the engine has too, v being the program's. It must not block: accept asks it second.
// O_APPEND, which means nothing to a socket, tells other processes that have it (exec, SCM_RIGHTS) that O_NONBLOCK is ours.
static inline long listener_flags(long v) { return v & O_NONBLOCK ? v : v | O_NONBLOCK | O_APPEND; }
// listener_give: fd goes to a process that may not know of that: a listener that blocks is the kernel's alone from now on.
void listener_give(int fd);
// listener_left: the engine has left fd to the kernel, for good.
void listener_left(int fd, struct file *f);
// listeners_inherited looks at every descriptor that the process started with.
void listeners_inherited(void);
// placeholder_is: is the socket behind fd that one?
bool placeholder_is(int fd);
// placeholder_dup: a descriptor for a connection accepted from listener l: the lowest number, a dup of one never connected socket.
int placeholder_dup(struct file *l, bool cloexec);

#endif
