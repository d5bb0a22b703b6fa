// The plain case of a connection without a crossing into the engine: the next segment's data to the program, and an answer to the wire. The
// engine is told afterwards, when the answer has left. What is plain, and who may act when, is told at struct sl_plain in cabi.h.
#ifndef SLUICE_PLAIN_H
#define SLUICE_PLAIN_H

#include <stdbool.h>
#include <sys/uio.h>

#include "engine.h"

// plain_recv gives the program what waits for handle h, or the payload of the packet that is next in the ring, as much as v has room for. The number of octets; 0: not here, ask the engine.
ssize_t plain_recv(struct sl_shared *s, int h, const struct iovec *v);
// plain_waits: a packet is in the ring that plain_recv may take.
bool plain_waits(const struct sl_shared *s, int h);
// plain_send sends v as a segment of its own, if that can be done at once. False: not here.
bool plain_send(struct sl_shared *s, int h, const struct iovec *v);

#endif
