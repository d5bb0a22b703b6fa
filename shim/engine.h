// The engine (libsluice_engine.so) as the preload object sees it: nothing until engine_need has loaded it, then the functions
// of cabi.h by pointer.
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include <stdbool.h>

#include "../cabi/cabi.h"
#include "fdmap.h"
#include "kick.h"
#include "notes.h"
#include "own.h"
#include "sigstack.h"
#include "slow.h"
#include "turnstile.h"

struct engine_calls {
    int (*sl_start)(struct sl_shared *, const struct sl_boot *);
    int (*sl_listen)(int, int);
    int (*sl_relisten)(int, int);
    int (*sl_accept)(int, struct sockaddr *, socklen_t *);
    int (*sl_connect)(int, const struct sockaddr *, socklen_t, int);
    int (*sl_connect_data)(int, const struct sockaddr *, socklen_t, const struct iovec *, int, size_t *);
    ssize_t (*sl_recv)(int, const struct iovec *, int, int, struct sl_recvinfo *);
    ssize_t (*sl_send)(int, const struct iovec *, int, int);
    void (*sl_send_many)(struct sl_piece *, int);
    int (*sl_shutdown)(int, int);
    int (*sl_close)(int);
    int (*sl_setsockopt)(int, int, int, const void *, socklen_t);
    int (*sl_getsockopt)(int, int, int, void *, socklen_t *);
    int (*sl_name)(int, int, struct sockaddr *, socklen_t *);
    int (*sl_ioctl)(int, unsigned long, int *);
    int (*sl_poll)(int);
    int (*sl_handover)(int);
    int (*sl_wished)(int);
    int (*sl_takeover)(int, const int *, int *);
    int (*sl_wish_done)(int, int);
    int (*sl_stop)(void);
};
extern struct engine_calls engine; // valid while shared is not NULL

// What both sides see, or NULL: no engine runs in this process (never loaded, refused, or this is a forked child: the pointer
// lies in a page that the kernel wipes in children, however they were forked).
struct engine_life {
    _Atomic(struct sl_shared *) shared;
    turnstile turnstile;
};
extern struct engine_life *engine_life;
static inline struct sl_shared *shared(void) { return atomic_load_explicit(&engine_life->shared, memory_order_acquire); }
extern int engine_pid; // the process that started it

// How deep this thread is in the engine: signals that arrive meanwhile are held back until it leaves (signal.c).
extern _Thread_local volatile int engine_inside __attribute__((tls_model("initial-exec")));
extern _Thread_local volatile int signals_held __attribute__((tls_model("initial-exec")));
void signals_release(void); // delivers what was held back
void after_engine(void);    // wait.h

// ENGINE_IN is the bare call, for who has entered already.
#define ENGINE_IN(fn, ...) __extension__({                 \
    turnstile_in(&engine_life->turnstile);                 \
    __auto_type engine_in_ret_ = engine.fn(__VA_ARGS__);   \
    turnstile_out(&engine_life->turnstile);                \
    engine_in_ret_;                                        \
})

// ENGINE(sl_recv, h, ...) is the only way to call the engine. ENGINE_BEFORE does something with the result (engine_ret) before what the call
// sent leaves.
#define ENGINE(fn, ...) ENGINE_BEFORE((void)0, fn, __VA_ARGS__)
#define ENGINE_BEFORE(what, fn, ...) __extension__({ \
    int64_t engine_since_ = slow_begin();            \
    engine_enter();                                  \
    __auto_type engine_ret = ENGINE_IN(fn, __VA_ARGS__); \
    what;                                            \
    engine_leave();                                  \
    slow_end(engine_since_, #fn);                    \
    engine_ret;                                      \
})

extern _Thread_local bool engine_met __attribute__((tls_model("initial-exec")));
void engine_meet(void); // this thread's first call: the engine's runtime changes its signal mask
void engine_part(void);

static inline void engine_enter(void)
{
    engine_inside++;
    if (__builtin_expect(!engine_met, 0))
        engine_meet();
    if (__builtin_expect(sigstack_lender != 0, 0))
        sigstack_check((uintptr_t)__builtin_frame_address(0));
}

static inline void engine_leave(void)
{
    if (__builtin_expect(!engine_met, 0))
        engine_part();
    int inside = --engine_inside;
    struct sl_shared *s = shared();
    if (s && __builtin_expect(atomic_load_explicit(&s->own_changes, memory_order_relaxed) != atomic_load_explicit(&own_seen, memory_order_relaxed), 0))
        own_sync(s);
    if (__builtin_expect(signals_held, 0) && inside == 0)
        signals_release();
    if (s)
        kick_after(s);
    after_engine();
    if (s)
        notes_check(s);
}

// engine_loaded: has this process (or the parent it was forked from) ever loaded the engine?
extern bool engine_loaded;

// engine_need loads and starts the engine in this process unless that was tried and refused. False: stay with the kernel.
bool engine_need(void);
// engine_retry: when engine_need tries again (ns), -1: never.
int64_t engine_retry(void);
// listener_need: fd names a listener f (FD_LISTENER, f->handle < 0) that is about to be polled or accepted from: puts it into the engine, if it
// can be. True: f->handle is valid. Cheap when it has been refused.
bool listener_need(int fd, struct file *f);
// listener_retry: when a thread that waits for the refused listener f had better offer it again (ns), -1: with the next event.
int64_t listener_retry(struct file *f);
// file_settle: a call on f gave SL_MOVED (or words[handle].moved is set): makes every descriptor of f the kernel socket it became.
void file_settle(struct file *f);

// Signal handlers that ran in this thread: sig_plain counts those installed without SA_RESTART, sig_any all of them. A wait compares them before and
// after: changed sig_plain (or sig_any, with a time-out) means EINTR.
extern _Thread_local volatile unsigned sig_plain __attribute__((tls_model("initial-exec")));
extern _Thread_local volatile unsigned sig_any __attribute__((tls_model("initial-exec")));

#endif
