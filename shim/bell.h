// What waits for a process without an engine (broker/bare.go).
#ifndef SLUICE_BELL_H
#define SLUICE_BELL_H

// bell_answer: the kernel gave fd for a listener. If it is a bell, fd becomes what waits behind it, with accept4's flags; BELL_LATE: nothing waits any
// more, and fd is closed.
enum bell { BELL_NONE, BELL_ANSWERED, BELL_LATE };
enum bell bell_answer(int listener, int fd, int flags);

#endif
