// The knobs (environment variables) of the preload object. The documented table is knobs/ in Go; a test holds both parsers to
// the same answers.
#ifndef SLUICE_KNOBS_H
#define SLUICE_KNOBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define RULES_MAX 64

// A rule selects addresses and ports; family 0: any address.
struct rule {
    uint8_t family; // 0, 4 or 6
    uint8_t bits;   // prefix length within the family
    uint8_t addr[16];
    uint16_t low, top;
};

struct rules {
    int n;
    struct rule rule[RULES_MAX];
};

// The short cuts that SLUICE_FAST names.
enum {
    FAST_BATCH = 1, // batch: one kick for what a batch of events sends
    FAST_PEEK = 2,  // peek: "nothing there" is answered from shared memory
    FAST_CORK = 4,  // cork: what is written under TCP_CORK enters the engine in one call
    FAST_PREFETCH = 8,  // prefetch: packets are fetched into the cache while the engine is being entered
    FAST_CHECKSUM = 16, // checksum: the engine leaves TCP's sum to the device
    FAST_TSO = 32,      // tso: the engine's: runs of segments leave as one
    FAST_PLAIN = 64,    // plain: the next segment in, and an answer out, before the engine is entered
    FAST_ACK = 128,     // ack: the engine's: the ACK of a request waits for its answer
    FAST_RECYCLE = 256, // recycle: the kernel socket behind a connection that has ended serves the next
    FAST_ALL = 511,
};

struct knobs {
    bool on;
    char broker[108];
    struct rules connect;
    struct rules listen;
    unsigned spin_usec;
    unsigned slow_usec; // log calls of the engine that take longer; 0: none
    unsigned fast; // FAST_* bits
    int log_level; // 0 off, 1 error, 2 info, 3 debug
    char log_path[256];
    const char *env[16]; // the SLUICE_* variables that count, as they stood when the program started; for the engine
    const char *preload; // LD_PRELOAD=..., as it stood then; NULL: there was none
};
extern struct knobs knobs; // set once, before main

// knobs_read takes the values from an environment. Whatever is wrong is told to complain, one line each.
void knobs_read(char **envp, void (*complain)(const char *line));

// rules_match: is this address (AF_INET, AF_INET6; mapped IPv4 counts as IPv4) selected?
bool rules_match(const struct rules *rules, const struct sockaddr *sa, socklen_t len);

// knob_check: NULL if value is good for the knob, else what is wanted. Sets the knob in *k.
const char *knob_set(struct knobs *k, const char *name, const char *value);

#endif
