// Listening sockets: which ones the engine may have, and when it gets them.
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include "fdmap.h"

// listener_consider: fd listens now: does a knob select it?
void listener_consider(int fd, int backlog);
// listener_adopt: fd came from elsewhere (exec, SCM_RIGHTS) and may be a listener.
void listener_adopt(int fd);
// listeners_inherited looks at every descriptor that the process started with.
void listeners_inherited(void);
// placeholder_dup: a descriptor for a connection accepted from listener l: the lowest number, a dup of one never connected socket.
int placeholder_dup(struct file *l, bool cloexec);

#endif
