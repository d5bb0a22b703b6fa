// Connections that forked children inherit. The kernel keeps a socket open while any process has a descriptor of it; the engine
// belongs to one process. So the parent keeps each inherited connection open until its children are done with it: they tell so, or end.
#ifndef SLUICE_HEIRS_H
#define SLUICE_HEIRS_H

#include "fdmap.h"

void heirs_prepare(void); // before a fork, in the parent
void heirs_parent(void);  // after it, in the parent
void heirs_child(void);   // and in the child, after its files were marked as inherited

// heirs_release, in a child: the last descriptor of inherited file f was closed, and the connection was never used here.
void heirs_release(struct file *f);

// heirs_leave: the process ends, its connections are the kernel's: children that have some of them in common get them.
void heirs_leave(void);
// heirs_inherit, in a child whose parent is gone: the kernel socket that it left of f; -1: none.
int heirs_inherit(struct file *f);

#endif
