#include "segment.h"

#include <string.h>

// Where things are in a packet of SL_PLAIN_HEAD octets of headers.
enum {
    ETH_DST = 0, ETH_SRC = 6, ETH_TYPE = 12,
    IP = 14, IP_LEN = 16, IP_FRAG = 20, IP_PROTO = 23, IP_SUM = 24, IP_SRC = 26, IP_DST = 30,
    TCP = 34, TCP_SRC = 34, TCP_DST = 36, TCP_SEQ = 38, TCP_ACK = 42, TCP_OFF = 46, TCP_FLAGS = 47, TCP_WINDOW = 48, TCP_SUM = 50,
    TS_KIND = 54, TS_VAL = 58, TS_ECR = 62,
};
enum { IP_HEAD = 20, TCP_HEAD = 32, ACK = 0x10, PSH = 0x08, CE = 3 };
#define TIMESTAMP 0x0101080au // NOP NOP timestamp (RFC 7323 appendix A)

static uint16_t get16(const uint8_t *b) { return (uint16_t)(b[0] << 8 | b[1]); }
static uint32_t get32(const uint8_t *b) { return (uint32_t)get16(b) << 16 | get16(b + 2); }
static void put16(uint8_t *b, uint16_t v) { b[0] = (uint8_t)(v >> 8), b[1] = (uint8_t)v; }
static void put32(uint8_t *b, uint32_t v) { put16(b, (uint16_t)(v >> 16)), put16(b + 2, (uint16_t)v); }

static bool same(const uint8_t *a, const uint8_t *b, size_t n) { return memcmp(a, b, n) == 0; }

// sum is the ones' complement sum (RFC 1071), not complemented.
static uint64_t sum(const uint8_t *b, size_t n)
{
    uint64_t s = 0;
    for (; n >= 4; b += 4, n -= 4)
        s += get32(b);
    if (n >= 2)
        s += get16(b), b += 2, n -= 2;
    return n ? s + (uint64_t)b[0] * 256 : s;
}

static uint16_t fold(uint64_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

// pseudo is the sum of the pseudo-header of a packet with n octets of TCP. RFC 9293 §3.1
static uint16_t pseudo(const uint8_t *b, uint32_t n) { return fold(sum(b + IP_SRC, 8) + 6 + n); }

// addressed: from the peer to us, of the connection; head is of what goes the other way.
static bool addressed(const uint8_t *head, const uint8_t *b)
{
    return same(b + ETH_DST, head + ETH_SRC, 6) && same(b + ETH_TYPE, head + ETH_TYPE, 2) && same(b + IP_SRC, head + IP_DST, 4) &&
        same(b + IP_DST, head + IP_SRC, 4) && same(b + TCP_SRC, head + TCP_DST, 2) && same(b + TCP_DST, head + TCP_SRC, 2);
}

static bool between(uint32_t low, uint32_t v, uint32_t high) { return v - low <= high - low; }

bool segment_read(const struct sl_plain *p, const uint8_t *b, uint32_t len, struct segment *g)
{
    if (len <= SL_PLAIN_HEAD || !addressed(p->head, b))
        return false;
    uint32_t total = get16(b + IP_LEN);
    if (b[IP] != 0x45 || (b[IP + 1] & CE) == CE || get16(b + IP_FRAG) & 0x3fff || b[IP_PROTO] != 6 || total <= IP_HEAD + TCP_HEAD || IP + total > len)
        return false;
    if (b[TCP_OFF] != TCP_HEAD / 4 << 4 || (b[TCP_FLAGS] & ~PSH) != ACK || get32(b + TS_KIND) != TIMESTAMP)
        return false;
    *g = (struct segment){ .payload = b + SL_PLAIN_HEAD, .len = total - IP_HEAD - TCP_HEAD, .ack = get32(b + TCP_ACK),
        .window = (uint32_t)get16(b + TCP_WINDOW) << p->peer_scale, .tsval = get32(b + TS_VAL) };
    if (get32(b + TCP_SEQ) != p->rcv_nxt || g->len > p->room || !between(p->snd_una, g->ack, p->snd_nxt) || (int32_t)(g->tsval - p->ts_recent) < 0)
        return false;
    if (fold(sum(b + IP, IP_HEAD)) != 0xffff)
        return false;
    uint16_t of_pseudo = pseudo(b, total - IP_HEAD);
    return (p->partial && get16(b + TCP_SUM) == of_pseudo) || fold(of_pseudo + sum(b + TCP, total - IP_HEAD)) == 0xffff;
}

// struct xsk_tx_metadata (Linux 6.8): flags, csum_start, csum_offset; 24 octets in front of the packet.
enum { METADATA = 24, METADATA_CHECKSUM = 2 };

void segment_write(const struct sl_plain *p, uint8_t *payload, uint32_t n, uint64_t now_ns)
{
    uint8_t *b = payload - SL_PLAIN_HEAD;
    struct { uint64_t flags; uint16_t start, offset; } meta = { METADATA_CHECKSUM, TCP, TCP_SUM - TCP };
    memcpy(b - METADATA, &meta, 12);
    memcpy(b, p->head, SL_PLAIN_HEAD);
    put16(b + IP_LEN, (uint16_t)(IP_HEAD + TCP_HEAD + n));
    put16(b + IP_SUM, (uint16_t)~fold(sum(b + IP, IP_HEAD)));
    put32(b + TCP_SEQ, p->snd_nxt);
    put32(b + TCP_ACK, p->rcv_nxt);
    put16(b + TCP_WINDOW, (uint16_t)p->window);
    put32(b + TS_VAL, (uint32_t)(now_ns / 1000000) + p->ts_offset);
    put32(b + TS_ECR, p->ts_recent);
    put16(b + TCP_SUM, pseudo(b, TCP_HEAD + n)); // the device adds the rest
}
