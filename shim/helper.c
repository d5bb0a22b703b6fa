// The helper thread: acknowledges, retransmits and answers the broker while the program computes or sits in some other call.
//
//   somebody sleeps as keeper   it looks each millisecond, and parks when nothing has happened for a while
//   the program makes calls     it looks every few milliseconds
//   neither                     it sleeps as keeper itself, and works when the engine has something to do
//
// So an idle program is woken by nothing but packets and TCP's timers.
#include "helper.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>

#include "attach.h"
#include "pages.h"
#include "raw.h"
#include "ready.h"
#include "stage.h"
#include "threads.h"

#define TICK_NS 1000000
#define BUSY_TICK_NS 4000000 // a timer costs a busy core 20 us in a virtual machine
#define QUIET_TICKS 2

struct helper_state {
    _Atomic uint32_t parked; // futex: 1: asleep until helper_unpark
    _Atomic bool keeping;    // asleep as keeper
};
static struct helper_state state;
static _Atomic bool running;
struct sleeper *helper_sleeper;

static void futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *t)
{
    RAW(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, t, NULL, 0);
}

void helper_unpark(void)
{
    if (atomic_load(&state.parked) && atomic_exchange(&state.parked, 0))
        futex(&state.parked, FUTEX_WAKE, INT_MAX, NULL);
}

void helper_call(void)
{
    helper_unpark();
    if (helper_sleeper)
        sleeper_notify(helper_sleeper);
}

// tick waits, longer while the program keeps making calls.
static void tick(bool quiet)
{
    static long ns;
    ns = quiet ? TICK_NS : ns < BUSY_TICK_NS ? ns + TICK_NS : ns;
    struct timespec t = { .tv_nsec = ns };
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

void helper_watch(void)
{
    helper_unpark();
    if (!atomic_load(&state.keeping))
        return;
    ready_lock();
    if (helper_sleeper)
        sleeper_notify(helper_sleeper);
    ready_unlock();
}

// held: a thread of the program keeps something back for a moment.
static bool held(struct sl_shared *s) { return kick_pending(s) || stage_any(); }

// hurry sends what the program's threads keep back for a moment.
static void hurry(struct sl_shared *s)
{
    if (stage_any())
        stage_end_all();
    if (kick_pending(s))
        kick_now(s);
}

// park rests until the last keeper leaves.
static void park(struct sl_shared *s)
{
    atomic_store(&state.parked, 1);
    // Under parked = 1: whoever ends as keeper, keeps packets or has a wish after this sees it.
    if (atomic_load(&keeper_until) != 0 && !held(s) && atomic_load(&s->wish) == attach_seen())
        futex(&state.parked, FUTEX_WAIT, 1, NULL);
    atomic_store(&state.parked, 0);
}

static uint64_t own_call; // when the engine was last entered, if it was by us

// away: no program thread has made a call for a tick, or none since ours.
static bool away(struct sl_shared *s)
{
    return atomic_load(&s->entered_ns) == own_call || now_ns() - (int64_t)atomic_load(&s->entered_ns) >= TICK_NS;
}

// keep sleeps as the program's keeper until the engine has work, and does it unless the program has come back meanwhile.
static void keep(struct sl_shared *s)
{
    struct pollfd fds[SLEEP_MORE];
    bool engine = false;
    atomic_store(&state.keeping, true);
    if (!held(s)) // under keeping = true: whoever keeps something back after this wakes us
        sleep_until(s, fds, 0, -1, NULL, &engine);
    atomic_store(&state.keeping, false);
    if (!away(s))
        return;
    engine_turn(s, engine);
    own_call = atomic_load(&s->entered_ns);
}

// stock_up keeps memory, and tells the engine if none is to be had: it gives up its connections then.
static void stock_up(struct sl_shared *s)
{
    static int64_t next;
    int64_t now = now_ns();
    if (now < next)
        return;
    next = now + 1000000000;
    atomic_store(&s->starved, !pages_keep());
}

static void *helper_main(void *arg)
{
    struct sl_shared *s = arg;
    uint64_t seen = 0;
    int quiet = 0, waits = 0; // looks since the last call, and since something is kept back
    pthread_setname_np(pthread_self(), "sluice");
    ready_lock();
    helper_sleeper = sleeper_self();
    ready_unlock();
    while (shared() == s && !atomic_load(&s->dead)) {
        attach_serve(s);
        stock_up(s);
        uint64_t entered = atomic_load(&s->entered_ns);
        uint64_t until = atomic_load(&keeper_until);
        quiet = entered == seen ? quiet + 1 : 0;
        seen = entered;
        waits = held(s) ? waits + 1 : 0;
        if (waits > 1 && quiet > 0) { // the program computes between two calls
            hurry(s);
            waits = 0;
        }
        if (waits > 0) {
            tick(quiet > 0);
        } else if (until != 0 && quiet >= QUIET_TICKS) {
            park(s);
            quiet = 0;
        } else if (until != 0 || !away(s)) {
            tick(quiet > 0);
        } else {
            keep(s);
        }
    }
    atomic_store(&running, false);
    return NULL;
}

void helper_start(void)
{
    if (atomic_exchange(&running, true))
        return;
    if (!thread_ours(helper_main, shared()))
        atomic_store(&running, false);
}

void helper_forked(void)
{
    helper_sleeper = NULL;
    atomic_store(&running, false);
    atomic_store(&state.parked, 0);
    atomic_store(&state.keeping, false);
}
