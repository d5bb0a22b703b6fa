// Kernel sockets behind outgoing connections that have ended, for the next socket(): to make one and to close it takes the kernel 4.8 us, to give it
// another number twice 0.7. Kept are those to which nothing was done that another socket would not show: the connection was the engine's all along.
#ifndef SLUICE_RECYCLE_H
#define SLUICE_RECYCLE_H

#include <stdbool.h>

#include "fdmap.h"
#include "fresh.h"

struct recycled {
    struct fresh_socket socket;
    int fd; // its number meanwhile: one of sluice's own
    struct file *file; // the connection's, and its generation: once that is over nobody has the socket under another number
    uint32_t gen;
};

// recycle_hold gives the socket behind fd, a connection that is about to be closed, another number. False: it is closed for good.
bool recycle_hold(int fd, struct recycled *r);
void recycle_keep(const struct recycled *r); // the connection is closed: its socket may be used again
// recycle_socket is socket(2) by one that was kept; -1: there is none.
int recycle_socket(int domain, int type, int proto);
bool recycle_evict(int fd); // the program wants that number: the socket there is closed. False: none is
void recycle_flush(void);   // a child is about to be made, which would have them as well
void recycle_forked(void);  // in a child

#endif
