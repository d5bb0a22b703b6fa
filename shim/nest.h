// An epoll set inside another one, or in poll and select.
#ifndef SLUICE_NEST_H
#define SLUICE_NEST_H

#include <stdbool.h>

struct ep_set;

// nest_enter: set inner is put into set outer.
void nest_enter(int outer, int inner);
// nest_watch: somebody polls epoll descriptor ep: true if it has members in the engine; its descriptor then is readable when one of
// them is ready, as far as the kernel can tell.
bool nest_watch(int ep);
// nest_any: a member in the engine is ready. Those that are no more leave the ready list. Under the ready lock.
bool nest_any(struct ep_set *set);
// nest_refresh makes the bell agree with what is ready: before the set is polled and after epoll_wait on it. Under the ready lock.
void nest_refresh(struct ep_set *set);
// nest_settle does so for all sets that are in others: a set that holds some is about to be waited on.
void nest_settle(void);

#endif
