// The engine's messages.
#ifndef SLUICE_NOTES_H
#define SLUICE_NOTES_H

#include "../cabi/cabi.h"

void notes_log(struct sl_shared *s); // logs what is new in the ring of messages; cheap if there is nothing

#endif
