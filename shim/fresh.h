// Which descriptors are TCP sockets that nothing was done to since socket(): connecting one needs no questions about its options and address.
// And which are bound to a port that the kernel chose: a program does not count on that one as on one of its own choice.
// A descriptor may be closed and used again by ways that we don't see, so the socket's cookie (SO_COOKIE) must still be the same.
#ifndef SLUICE_FRESH_H
#define SLUICE_FRESH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

extern _Atomic bool fresh_some; // there may be any

void fresh_socket(int fd, int domain, int type, int proto); // socket() gave fd
void fresh_end(int fd);                                     // something is being done to fd
void fresh_bound(int fd, const struct sockaddr *sa, socklen_t n); // bind() to that address was successful
// fresh_take: what fd, if it is of that family, is to sl_connect: SL_FRESH, SL_CHOSEN or 0. It is 0 from then on.
int fresh_take(int fd, int domain);
void fresh_forking(void); // a child may do things to any of them

#endif
