// See space.c.
#ifndef SLUICE_SPACE_H
#define SLUICE_SPACE_H

#include <stdbool.h>

void space_start(void);                  // counts the engine into limits that this program was started with, if it may
void space_open(void);                   // the engine is about to come: what was kept for it is free
void space_keep(void);                   // it did not
bool space_leave(char *const envp[]);    // a program takes over, with this environment: true if its limits are now what ours said they were
void space_back(bool left);              // it did not

#endif
