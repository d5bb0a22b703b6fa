// Keeping the program's signal handlers away from this thread for a moment.
#ifndef SLUICE_HANDS_H
#define SLUICE_HANDS_H

// hands_off(1): signals that arrive in this thread wait until hands_off(-1); nests, also with the engine's own (engine.h).
void hands_off(int by);

#endif
