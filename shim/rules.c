// Reads lists of addresses and ports, and matches them.
#include "rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

long number(const char *s, int len, long max)
{
    long n = 0;
    if (len <= 0)
        return -1;
    for (int i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        n = n * 10 + (s[i] - '0');
        if (n > max)
            return -1;
    }
    return n;
}

// ports reads `*`, `80` or `8000-8100`.
static const char *ports(const char *s, int len, struct rule *r)
{
    if (len == 1 && *s == '*') {
        r->low = 1, r->top = 65535;
        return NULL;
    }
    const char *dash = memchr(s, '-', (size_t)len);
    int head = dash ? (int)(dash - s) : len;
    long low = number(s, head, 65535);
    long top = dash ? number(dash + 1, len - head - 1, 65535) : low;
    if (low < 1 || top < low)
        return "want a port or a range of ports";
    r->low = (uint16_t)low, r->top = (uint16_t)top;
    return NULL;
}

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

// address reads an IPv4 or IPv6 address. An IPv4-mapped one that stands alone means the IPv4 address.
static bool address(const char *s, int len, struct rule *r, bool unmap)
{
    char text[64];
    if (len <= 0 || len >= (int)sizeof text)
        return false;
    memcpy(text, s, (size_t)len);
    text[len] = 0;
    if (inet_pton(AF_INET, text, r->addr) == 1) {
        r->family = 4, r->bits = 32;
        return true;
    }
    if (inet_pton(AF_INET6, text, r->addr) != 1)
        return false;
    r->family = 6, r->bits = 128;
    if (unmap && memcmp(r->addr, mapped, 12) == 0) {
        memmove(r->addr, r->addr + 12, 4);
        r->family = 4, r->bits = 32;
    }
    return true;
}

// host reads what stands before the ports: `*`, an address, or (networks true) address/bits.
static const char *host(const char *s, int len, struct rule *r, bool networks)
{
    if (len == 1 && *s == '*')
        return NULL;
    const char *slash = networks ? memchr(s, '/', (size_t)len) : NULL;
    if (!slash)
        return address(s, len, r, true) ? NULL : "want an address";
    int tail = len - (int)(slash - s) - 1;
    if (!address(s, (int)(slash - s), r, false))
        return "want a network";
    long bits = number(slash + 1, tail, r->bits);
    if (bits < 0 || (tail > 1 && slash[1] == '0'))
        return "want a network";
    r->bits = (uint8_t)bits;
    return NULL;
}

// entry reads one element of a list; bare ports are allowed for listeners only.
static const char *entry(const char *s, int len, struct rule *r, bool networks)
{
    memset(r, 0, sizeof *r);
    if (len == 0)
        return "empty entry";
    const char *colon = memchr(s, ':', (size_t)len);
    if (!colon)
        return networks ? "want network:ports" : ports(s, len, r);
    int hostlen = (int)(colon - s);
    const char *at = s;
    if (*s == '[') {
        const char *end = memmem(s, (size_t)len, "]:", 2);
        if (!end || !memchr(s, ':', (size_t)(end - s)))
            return "want [address]:ports";
        at = s + 1, hostlen = (int)(end - at), colon = end + 1;
    } else if (memchr(colon + 1, ':', (size_t)(len - hostlen - 1))) {
        return "want address:ports, an IPv6 address in brackets";
    }
    const char *bad = host(at, hostlen, r, networks);
    return bad ? bad : ports(colon + 1, (int)(s + len - colon - 1), r);
}

static const char *list(const char *value, struct rules *rules, bool networks)
{
    struct rules out = { .n = 0 };
    if (strcmp(value, "none") != 0) {
        for (const char *s = value;; s++) {
            int len = (int)strcspn(s, ",");
            if (out.n == RULES_MAX)
                return "more than 64 entries";
            const char *bad = entry(s, len, &out.rule[out.n], networks);
            if (bad)
                return bad;
            out.n++;
            s += len;
            if (*s == 0)
                break;
        }
    }
    *rules = out;
    return NULL;
}

const char *rules_listen(const char *value, struct rules *rules) { return list(value, rules, false); }
const char *rules_connect(const char *value, struct rules *rules) { return list(value, rules, true); }

static bool prefix_equal(const uint8_t *a, const uint8_t *b, int bits)
{
    if (memcmp(a, b, (size_t)bits / 8) != 0)
        return false;
    int rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

bool rules_match(const struct rules *rules, const struct sockaddr *sa, socklen_t len)
{
    const uint8_t *addr;
    uint16_t port;
    uint8_t family;
    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        addr = (const uint8_t *)&in->sin_addr, port = ntohs(in->sin_port), family = 4;
    } else if (len >= 28 - sizeof(uint32_t) && sa->sa_family == AF_INET6) { // the scope may be missing (RFC 2133)
        const struct sockaddr_in6 *in6 = (const void *)sa;
        addr = in6->sin6_addr.s6_addr, port = ntohs(in6->sin6_port), family = 6;
        if (memcmp(addr, mapped, 12) == 0)
            addr += 12, family = 4;
    } else {
        return false;
    }
    for (int i = 0; i < rules->n; i++) {
        const struct rule *r = &rules->rule[i];
        if (port >= r->low && port <= r->top && (r->family == 0 || (r->family == family && prefix_equal(addr, r->addr, r->bits))))
            return true;
    }
    return false;
}
