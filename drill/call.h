/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call of packetdrill's gets to the machine: both of its threads (the script's, and one for calls that block) put a
 * drill_call into a queue that one thread of Go serves, in order.
 */
#ifndef DRILL_CALL_H
#define DRILL_CALL_H

#include <poll.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum drill_op {
    DRILL_SOCKET = 1,   /* a, b, c: domain, type, protocol */
    DRILL_BIND,         /* fd, p, n: address */
    DRILL_LISTEN,       /* fd, a: backlog */
    DRILL_ACCEPT,       /* fd, p, n: room for an address; n becomes its length */
    DRILL_CONNECT,      /* fd, p, n: address */
    DRILL_RECV,         /* fd, iov, n, a: flags; p, at: room for ancillary messages, at becomes their length; b becomes msg_flags */
    DRILL_SEND,         /* fd, iov, n, a: flags; p, c: address to connect to, or NULL */
    DRILL_FCNTL,        /* fd, a, b: command, argument */
    DRILL_IOCTL,        /* fd, n: request; a: the argument's value, before and after */
    DRILL_CLOSE,        /* fd */
    DRILL_SHUTDOWN,     /* fd, a: how */
    DRILL_GETSOCKOPT,   /* fd, a, b: level, name; p, n: room; the result is the length */
    DRILL_SETSOCKOPT,   /* fd, a, b: level, name; p, n: value */
    DRILL_POLL,         /* p, n: struct pollfd; a: timeout in ms */
    DRILL_EPOLL_CREATE, /* a: size */
    DRILL_EPOLL_CTL,    /* fd, a, b: operation, descriptor; p: event */
    DRILL_EPOLL_WAIT,   /* fd, p: events, a: how many, b: timeout in ms */
    DRILL_PACKET_IN,    /* p, n: IP packet */
    DRILL_PACKET_OUT,   /* p, n: room; the result is the length, 0 when no packet will ever come; time is in at */
    DRILL_SLEEP,        /* n: microseconds */
};

struct drill_call {
    int op, fd, a, b, c;
    void *p;
    size_t n;
    struct iovec *iov;
    long long at;  /* ns */
    long long ret; /* the result, negative: -errno */

    int foreign; /* made by a thread other than the script's: time goes on without it */
    sem_t done;
    struct drill_call *next;
};

/* drill_next waits for the next call. */
struct drill_call *drill_next(void);

/* drill_reply ends a call. That of a foreign thread has looked at the clock once when drill_reply returns: packetdrill takes
 * the time right after a blocking call, and must see the one it ended at. */
void drill_reply(struct drill_call *c);

/* drill_clock sets what gettimeofday tells, in ns; drill_now is what it would tell now. */
void drill_clock(long long now);
long long drill_now(void);

/* drill_fd makes a descriptor for a socket of the machine: a real one, because packetdrill closes what a script left open
 * with libc's close. */
int drill_fd(void);

#endif
