// Records that say whose they are: an octet on the wrong connection is seen at both ends.
#ifndef SLT_TAG_H
#define SLT_TAG_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct record { // of every connection's stream, both ways; a segment holds whole ones
    uint64_t id;  // the connection's
    uint32_t seq; // counts from 0
    uint32_t sum;
};

#define RECORDS 16 // at most, in one write

static inline uint32_t sum_of(uint64_t id, uint32_t seq) { return (uint32_t)((id * 0x9e3779b97f4a7c15u + seq) * 0xbf58476d1ce4e5b9u >> 32); }

static inline void fill(struct record *r, int n, uint64_t id, uint32_t seq)
{
    for (int i = 0; i < n; i++)
        r[i] = (struct record){ id, seq + (uint32_t)i, sum_of(id, seq + (uint32_t)i) };
}

// whole: n octets are records of one connection, one after the other.
static inline bool whole(const struct record *r, ssize_t n)
{
    for (size_t i = 0; i < (size_t)n / sizeof *r; i++)
        if (r[i].sum != sum_of(r[i].id, r[i].seq) || r[i].id != r[0].id || r[i].seq != r[0].seq + i)
            return false;
    return (size_t)n % sizeof *r == 0;
}

static inline void die(const char *what)
{
    printf("cannot %s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static inline struct sockaddr_in at(const char *host, const char *port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
    sa.sin_addr.s_addr = inet_addr(host);
    return sa;
}

static inline int listen_at(const struct sockaddr_in *sa)
{
    int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(l, (const struct sockaddr *)sa, sizeof *sa) < 0 || listen(l, 128) < 0)
        die("listen");
    return l;
}

#endif
