// Sends forged packets by a packet socket, so many a second, until it is killed: flood DEVICE DSTMAC DSTIP PORT KIND RATE.
// Sources are 10.77.0.100 to 10.77.0.131, any port.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, PAYLOAD = 64 };

struct frame {
    struct ether_header eth;
    struct iphdr ip;
    struct tcphdr tcp;
    char data[PAYLOAD];
} __attribute__((packed));

static uint64_t state = 88172645463325252ull;
static uint32_t any(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static uint32_t add(uint32_t sum, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        sum += (uint32_t)b[i] << (i & 1 ? 0 : 8);
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

// make fills a frame; the result is its length.
static size_t make(struct frame *f, const char *kind, int port)
{
    size_t data = strcmp(kind, "ack") == 0 ? PAYLOAD : 0;
    f->ip.saddr = htonl(0x0a4d0000u | (100 + any() % 32));
    f->ip.id = (uint16_t)any();
    f->ip.frag_off = strcmp(kind, "fragment") == 0 ? htons((uint16_t)(IP_MF | (any() % 100))) : 0;
    f->ip.tot_len = htons((uint16_t)(sizeof f->ip + sizeof f->tcp + data));
    f->ip.check = 0;
    f->ip.check = fold(add(0, &f->ip, sizeof f->ip));
    f->tcp = (struct tcphdr){ .source = (uint16_t)any(), .dest = htons((uint16_t)port), .seq = any(), .ack_seq = any(), .doff = 5, .window = htons(65535) };
    f->tcp.syn = strcmp(kind, "syn") == 0 || strcmp(kind, "scan") == 0;
    f->tcp.rst = strcmp(kind, "rst") == 0;
    f->tcp.fin = strcmp(kind, "fin") == 0;
    f->tcp.ack = !f->tcp.syn;
    if (f->tcp.syn)
        f->tcp.ack_seq = 0;
    if (strcmp(kind, "scan") == 0)
        f->tcp.dest = (uint16_t)any();
    uint32_t sum = add(add(0, &f->ip.saddr, 8), &f->tcp, sizeof f->tcp + data);
    f->tcp.check = fold(sum + IPPROTO_TCP + (uint32_t)(sizeof f->tcp + data));
    return sizeof f->eth + sizeof f->ip + sizeof f->tcp + data;
}

int main(int argc, char **argv)
{
    static struct frame frames[BATCH];
    struct mmsghdr m[BATCH] = { 0 };
    struct iovec v[BATCH];
    if (argc != 7)
        return 2;
    const char *kind = argv[5];
    int port = atoi(argv[4]), rate = atoi(argv[6]), fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]) };
    if (fd < 0 || bind(fd, (void *)&to, sizeof to) != 0)
        return perror("packet socket"), 1;
    for (int i = 0; i < BATCH; i++) {
        struct frame *f = &frames[i];
        unsigned char *b = f->eth.ether_dhost;
        sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", b, b + 1, b + 2, b + 3, b + 4, b + 5);
        f->eth.ether_shost[0] = 2, f->eth.ether_type = htons(ETHERTYPE_IP);
        f->ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .daddr = inet_addr(argv[3]) };
        v[i] = (struct iovec){ f, 0 }, m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
    }
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        for (int i = 0; i < BATCH; i++)
            v[i].iov_len = make(&frames[i], kind, port);
        sendmmsg(fd, m, BATCH, 0);
        next.tv_nsec += 1000000000L / rate * BATCH;
        next.tv_sec += next.tv_nsec / 1000000000, next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
