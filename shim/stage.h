// Answers put together before they enter the engine.
//
// A program that sets TCP_CORK, writes headers, sends a file and clears TCP_CORK again means one write. So the cork and what is
// written under it stay here, and go to the engine in one call when the cork is drawn:
//
//   setsockopt(CORK, 1)  write  sendfile  setsockopt(CORK, 0)
//      stage_open       stage_put  stage_put     stage_send ──► sl_send(.., SL_CORKED)
//
// And a program that works through a batch of events (kick.h) answers one after the other: what it writes is kept, and enters the
// engine in one call when its packets would leave, too:
//
//   epoll_wait = 3  write  write  write  epoll_wait
//                stage_keep, stage_put   stage_end ──► sl_send_many
//
// Nobody can see the difference: whatever else is done with what the connection sends, by any thread, first gives the engine the cork and the
// octets (stage_flush), and so does the thread when it waits, and the helper thread when the program computes.
#ifndef SLUICE_STAGE_H
#define SLUICE_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fdmap.h"

#define STAGE_SIZE 8192 // octets at most that are staged for one connection

// stage_open: the program corks f. False: the engine has to be told.
bool stage_open(struct file *f);
// stage_keep: what is written to f next may be kept: this thread works through a batch, and f takes it. False: it is for the engine.
bool stage_keep(struct file *f);
// stage_put takes n octets of v for f. False: there is no room, or f is not staged: f is the engine's now.
bool stage_put(struct file *f, const struct iovec *v, int n, int flags);
// stage_room: where the next n octets of f go; NULL: f is not staged, or has no room. stage_put_here must follow: how many were put there.
char *stage_room(struct file *f, size_t n);
void stage_put_here(struct file *f, size_t n);
// stage_send: the program draws the cork. False: f was not staged, or nothing was written: the engine has to be told.
bool stage_send(struct file *f);

// stage_flush gives the engine what is staged for f. Cheap if nothing is.
void stage_flush_slow(struct file *f);
static inline void stage_flush(struct file *f)
{
    if (__builtin_expect(atomic_load_explicit(&f->stage, memory_order_acquire) != NULL, 0))
        stage_flush_slow(f);
}

// stage_give passes all that is kept, not what is under a cork, to the engine at once: this thread's, or all threads'.
void stage_give(bool all);
// stage_end flushes what this thread has staged, stage_end_all what any has. stage_any: somebody has.
void stage_end(void);
void stage_end_all(void);
bool stage_any(void);
void stage_forked(void);

#endif
