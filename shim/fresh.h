// What is known of TCP sockets that the engine does not have: whether anything was done to one since socket(), as connecting one of which nothing
// was needs no questions about its options and address; whether its port was the kernel's choice, which a program does not count on as on
// one of its own; and whether it is this process's alone, under one number, and without what only the kernel can do: the engine may take
// it from the kernel then (claim.c).
// A descriptor may be closed and used again by ways that we don't see, so the socket's cookie (SO_COOKIE) must still be the same.
#ifndef SLUICE_FRESH_H
#define SLUICE_FRESH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

extern _Atomic bool fresh_some; // there may be any

void fresh_socket(int fd, int domain, int type, int proto); // socket() gave fd
void fresh_accepted(int fd);                                // accept() gave fd, of a selected listener
void fresh_end(int fd);                                     // something is being done to fd
void fresh_kernels(int fd); // from now on fd may be another's, too, or something that only the kernel does is asked of it
void fresh_inherited(void); // another program gets what has no FD_CLOEXEC
void fresh_bound(int fd, const struct sockaddr *sa, socklen_t n); // bind() to that address was successful
// fresh_take: what fd, if it is of that family, is to sl_connect: SL_FRESH, SL_CHOSEN or 0. It is 0 from then on.
int fresh_take(int fd, int domain);
void fresh_forking(void); // a child may do things to any of them

// A socket to which nothing was done that another would not show, as its connection was the engine's all along.
struct fresh_socket {
    uint64_t id; // its cookie, as far as it is remembered, and how many forks there were before it
    bool six;    // of AF_INET6
};
bool fresh_clean(int fd);                                    // whether fd, a connection's, is one
bool fresh_leaves(int fd, int copy, struct fresh_socket *s); // and copy, made since, its duplicate; fd is forgotten then
bool fresh_again(int fd, const struct fresh_socket *s);     // fd is it, under a new number, as if socket() had given it. False: it is something else

enum fresh { FRESH_UNKNOWN, FRESH_OTHERS, FRESH_CONNECTED, FRESH_ACCEPTED };
int fresh_next(int from);          // the lowest number >= from of which anything is known; -1: none
// fresh_whose: whether the socket is this process's alone, and where it came from.
enum fresh fresh_whose(int fd);

#endif
