// Kicks: waking the kernel for what the engine put into the transmit rings, once for many packets where more are about to follow.
//
// A kick costs more than all else that a small answer costs: the kernel carries each packet to its receiver within it. So while a
// program works through what one epoll_wait gave it, its packets are kept and leave together
//
//   when it waits again, or asks and there is nothing
//   when KICK_FRAMES of them wait, or the first has waited for KICK_NS (seen at the next crossing)
//   when the helper thread sees that the program has made no crossing for a tick: it computes
//
// A program that was late once (by more than LATE_NS) is not trusted for a while. With one event only, nothing is kept: a lone answer
// has nobody to wait for.
#ifndef SLUICE_KICK_H
#define SLUICE_KICK_H

#include <stdbool.h>
#include <stdint.h>

#include "../cabi/cabi.h"

// kick_batch: a wait of this thread returned n events: what it sends now may wait for company.
void kick_batch(int n);
// kick_batching: what this thread sends now waits for company.
bool kick_batching(void);
// kick_keeps: what this thread has done may go on waiting for company; it has waited since the first time that this was asked, or for
// packets in the rings.
bool kick_keeps(void);
// kick_end: this thread waits (again): everything leaves.
void kick_end(struct sl_shared *s);
// kick_after is called when the engine is left.
void kick_after(struct sl_shared *s);
// kick_pending: packets wait for a kick. kick_now makes it.
bool kick_pending(const struct sl_shared *s);
void kick_now(struct sl_shared *s);

#endif
