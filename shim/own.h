// See own.c; the calls that others use are in fdmap.h.
#ifndef SLUICE_OWN_H
#define SLUICE_OWN_H

int own_base(void);  // the lowest number for a descriptor of our own
void own_scan(void); // marks what the engine opened from there on as ours
void own_note(void); // before: notes what the program has there

#endif
