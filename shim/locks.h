// The order of the preload object's locks. A thread takes one only while it has none of the same rank, and none that comes after it: so no two threads
// wait for each other. With SLUICE_LOCKS defined, as in the objects that tests build with sanitizers, each thread keeps account, and ends its process where it
// breaks the order, whether or not anybody waits.
//
// What is no lock but is waited for: a connection's gate (kconn.h), which a move shuts before it takes SETTLE; the signal and plain locks, and
// that of option.c, under which nothing is called.
#ifndef SLUICE_LOCKS_H
#define SLUICE_LOCKS_H

enum lock {
    LOCK_FORKING, // heirs.c: one fork at a time
    LOCK_NEED,    // listener.c: a listener goes to the engine, or leaves it
    LOCK_LOAD,    // engine_load.c: the engine is loaded
    LOCK_SETTLE,  // ours.c: descriptors become what their connection is
    LOCK_HEIRS,   // heirs.c: files that children may have
    LOCK_ENTRY,   // fdmap.c: what a descriptor names; several, in ascending order
    LOCK_STAGE,   // stage.c: a slot; several that are tried
    LOCK_ENGINE,  // turnstile.h: the engine has one thread at a time
    LOCK_READY,   // ready.c: epoll sets, waiters, sleepers
    LOCKS
};

#ifdef SLUICE_LOCKS
void lock_takes(enum lock l); // before it waits
void lock_has(enum lock l, int n); // n: 1: has it now, -1: has it no more
void locks_forked(void);
#else
static inline void lock_takes(enum lock l) { (void)l; }
static inline void lock_has(enum lock l, int n) { (void)l, (void)n; }
static inline void locks_forked(void) {}
#endif

#endif
