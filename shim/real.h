// libc's own functions, under the names the program knows them by: real.read(fd, ...) is what read would be without us.
#ifndef SLUICE_REAL_H
#define SLUICE_REAL_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

// One member for each line of real_calls.h. Before libc can be asked, each member is a function that looks everything up
// and, should we be inside that look-up, makes the system call itself: callers never test anything.
struct libc_calls {
#define X(ret, name, params, args, early) ret (*name) params;
#include "real_calls.h"
#undef X
    void (*exit_now)(int); // _exit
};
extern struct libc_calls real;

// real_resolve looks up all of libc's functions once. False: a look-up is under way in this thread or libc lacks a name.
bool real_resolve(void);

// REAL: an interposed function, visible to the program. Nothing else leaves libsluice.so (shim/exports.map).
#define INTERPOSE __attribute__((visibility("default")))

#endif
