// Ports that programs have on lease for connections to come are bound, also while no connection uses them.
#ifndef SLUICE_PORTS_H
#define SLUICE_PORTS_H

#include <stdbool.h>
#include <sys/socket.h>

// ports_back: the kernel refused fd the port of sa, or any if sa is NULL, as taken. Those on lease that no connection uses are given back; true: worth
// another try. errno stays.
bool ports_back(int fd, const struct sockaddr *sa, socklen_t n);

#endif
