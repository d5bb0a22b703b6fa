// The engine's file.
#ifndef SLUICE_IMAGE_H
#define SLUICE_IMAGE_H

#include <stdbool.h>

// image_find opens the engine's file beside our own, for later: the program may change its root directory.
void image_find(void);
// image_open maps it; copy: this address space has (a dead parent's) one already, so another file is needed. NULL: logged.
void *image_open(bool copy);

#endif
