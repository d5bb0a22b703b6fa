// The helper thread: keeps the engine going while no program thread does.
#ifndef SLUICE_HELPER_H
#define SLUICE_HELPER_H

#include <stdbool.h>

void helper_start(void);
void helper_forked(void);
// helper_unpark: nobody sleeps as keeper any more; the helper has to watch. Under the ready lock.
void helper_unpark(void);
// helper_watch: this thread keeps something back: should it not come back soon, the helper sends it.
void helper_watch(void);
// helper_call wakes it, whatever it does: there is a wish to serve (attach.h). Under the ready lock.
void helper_call(void);
struct sleeper;
extern struct sleeper *helper_sleeper; // NULL: no helper

#endif
