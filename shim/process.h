// See process.c.
#ifndef SLUICE_PROCESS_H
#define SLUICE_PROCESS_H

void process_leave(void);   // the process (or its program: exec) ends: what is open is given to the kernel
void engine_forked(void);   // engine_load.c, in a forked child
void listener_forked(void); // listener.c
void image_start(void);     // image.c: remembers where libsluice.so is

#endif
