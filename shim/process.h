// See process.c.
#ifndef SLUICE_PROCESS_H
#define SLUICE_PROCESS_H

#include <stdbool.h>

bool process_ours(void);           // something is selected: what follows is to be called around every fork
bool process_self(void);           // and this is no child that shares the memory (vfork)
void process_forking(void);        // before, in the parent
void process_forked_parent(void);  // after it, in the parent
void process_forked(void);         // and in the child
bool fork_by_number(long nr, const long *a, long *ret); // fork.c: syscall() forks; false: it does not
void process_leave(void);   // the process (or its program: exec) ends: what is open is given to the kernel
void engine_forked(void);   // engine_load.c, in a forked child
void engine_confined(void); // the process limited itself: the engine ends if that leaves it no room
void listener_forked(void); // listener.c
void image_start(void);     // image.c: remembers where libsluice.so is

#endif
