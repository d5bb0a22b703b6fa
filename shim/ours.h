// Between the calls and the engine: which file serves a descriptor, and how one becomes the kernel's again.
#ifndef SLUICE_OURS_H
#define SLUICE_OURS_H

#include "engine.h"
#include "real.h"
#include "stage.h"

// conn_get: the connection that fd names, referenced, served by the engine of this process; NULL: fd is the kernel's. A connection
// that moved, or that a forked child inherited, becomes the kernel's here.
struct file *conn_get_slow(int fd);
static inline struct file *conn_get_staged(int fd) { return fd_kind(fd) == FD_CONN ? conn_get_slow(fd) : NULL; }
static inline struct file *conn_get(int fd) // nothing is staged for it; conn_get_staged is for calls that stage, or to which what is sent does not matter
{
    struct file *f = conn_get_staged(fd);
    if (f)
        stage_flush(f);
    return f;
}

// conn_handover gives the connection to the kernel; afterwards fd is a kernel socket. 0, or -errno: it stays in the engine.
int conn_handover(int fd, struct file *f);
// handover_fd: the same for whatever fd is; nothing to do for the kernel's.
int handover_fd(int fd);
// handover_for_good: and it must not come back to the engine.
void handover_for_good(int fd);
// handover_to_libc: and libc may read, write and close it unseen: nothing is known of fd from now on.
void handover_to_libc(int fd);
// standard: fd, which the program just got: what is 0, 1 or 2 may be a stream's (printf), which libc serves inside itself.
static inline int standard(int fd)
{
    if (__builtin_expect(fd >= 0 && fd <= 2, 0))
        handover_to_libc(fd);
    return fd;
}
// handover_inherited hands over every connection that has a descriptor without FD_CLOEXEC: another program is about to get it.
void handover_inherited(void);
// handover_all hands over every connection, for good.
void handover_all(void);

// conn_bind: a new file for engine handle h under descriptor fd. NULL: out of memory (the handle is closed).
struct file *conn_bind(int fd, int h, bool nonblock);
// file_adopt: f belongs to an engine of an ancestor: fetches the connection from there.
void file_adopt(struct file *f);
// settle_wait(true) keeps connections from being settled until settle_wait(false). settle_waits: this thread does.
void settle_wait(bool on);
bool settle_waits(void);
// file_settle_now is file_settle by the thread that keeps others from it; nothing of f is staged.
void file_settle_now(struct file *f);
// files_left: the engine has stopped: connections are what they moved to, listeners the kernel's alone.
void files_left(void);
// files_forked: in a forked child: no file has an engine here.
void files_forked(void);

// new_fd: a descriptor that the kernel just gave to the program: whatever we thought of that number is stale.
static inline int new_fd(int fd)
{
    if (fd >= 0 && fd_load(fd) != 0)
        fd_drop(fd);
    return fd;
}

#endif
