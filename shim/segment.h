// The two kinds of packet that the plain case knows: one that brings the next octets of a connection, and one that takes some there. Both are
// Ethernet, IPv4 without options, TCP with a timestamp and nothing else.
#ifndef SLUICE_SEGMENT_H
#define SLUICE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../cabi/cabi.h"

// What a packet says that brings the next octets.
struct segment {
    const uint8_t *payload;
    uint32_t len;
    uint32_t ack, window, tsval;
};

// segment_read: is the packet at b, of len octets, the connection's next segment, and may it be taken? (struct sl_plain tells when.)
bool segment_read(const struct sl_plain *p, const uint8_t *b, uint32_t len, struct segment *g);
// segment_write writes the headers in front of the payload of n octets, and the request to finish the sum in front of them.
void segment_write(const struct sl_plain *p, uint8_t *payload, uint32_t n, uint64_t now_ns);

#endif
