// The door: a connection to the broker, opened when a listener becomes a candidate, before the program changes its root or user.
#ifndef SLUICE_DOOR_H
#define SLUICE_DOOR_H

#include <stdbool.h>

void door_open(void); // opens it unless it is open; quiet on failure (the engine tells)
int door_fd(void);    // -1: none

// door_want asks for the connection that handle is in process owner: a kernel socket, close-on-exec, or -1.
int door_want(int owner, int handle);
// door_bare tells the broker that this process accepts from a listener without an engine. door_fetch: the kernel socket that waits behind a bell, which
// came from that port, close-on-exec; -1: none any more, -2: it is no bell.
void door_bare(int listener);
int door_fetch(int listener, int port);
// door_release has ports on lease that no connection uses given back, one or all (0). true: that was asked for.
bool door_release(int port);
// door_remember, in a forked child: process owner, whose child this is, is known to the broker by that token.
void door_remember(int owner, const char *token);

#endif
