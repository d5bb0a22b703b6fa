// A program that executes sequences of socket calls, and says what each gave: see ../doc.go. A call's arguments are numbers; what
// they stand for is in ../calls_test.go.
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { ARGS = 6, SLOTS = 8, PEERS = 8, ROOM = 1 << 16 };

// op is a call by name: a[] its arguments.
struct op {
    const char *name;
    void (*run)(const long *a);
};
extern const struct op data_ops[], socket_ops[], wait_ops[], fd_ops[], move_ops[];

// patience is how long a call may block, and how long something is waited for that may never come.
extern int patience_ms;

// slots hold the descriptors of a sequence; fd_of also knows some that are none, or something else.
int fd_of(long slot);
void slot_set(long slot, int fd);
void slot_clear(long slot);
void odd_fds(void);

// What a call gave. say adds to the line of the calling thread.
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_result(long r);
void say_bytes(const void *b, long n);
char *line(void);
void line_clear(void);

// pointers: good memory of ROOM octets, or bad.
void *at(long kind, void *good);

// bounded runs around what may block: interrupts it again and again once patience is over.
void bound_begin(void);
void bound_end(void);
void bound_init(void);

// threads.c: a call on another thread, and its end.
void on_thread(long thread, const struct op *op, const long *a);
void join_thread(long thread);
void join_all(void);

// peer.c: the other end, a process of its own.
struct ask {
    int what, conn;
    long arg;
};
struct answer {
    long r;
    int err;
    uint32_t sum;
};
enum { P_DIAL, P_LISTEN, P_ACCEPT, P_GIVE, P_OOB, P_TAKE, P_SHUT, P_CLOSE, P_RST, P_END, P_RESET_ALL, P_PATIENCE };
extern int to_peer, from_peer;
struct answer peer(int what, int conn, long arg);
int peer_main(const char *host);
uint32_t sum_of(const unsigned char *b, long n, uint32_t sum);
extern int own_port, peer_port; // host order
extern const char *own_host, *peer_host;
void nap_us(long us);
