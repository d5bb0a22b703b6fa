// Which descriptors are TCP sockets that nothing was done to since socket(): connecting one needs no questions about its options and address.
// A descriptor may be closed and used again by ways that we don't see, so the socket's cookie (SO_COOKIE) must still be the same.
#ifndef SLUICE_FRESH_H
#define SLUICE_FRESH_H

#include <stdatomic.h>
#include <stdbool.h>

extern _Atomic bool fresh_some; // there may be any

void fresh_socket(int fd, int domain, int type, int proto); // socket() gave fd
void fresh_end(int fd);                                     // something is being done to fd
// fresh_take: was fd fresh, and of that family? It is no more.
bool fresh_take(int fd, int domain);
void fresh_forking(void); // a child may do things to any of them

#endif
