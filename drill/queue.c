/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"

/* A spin lock: packetdrill believes that a thread which sleeps has blocked in its call, so that none must sleep before its
 * call stands in the queue. */
static atomic_flag lock = ATOMIC_FLAG_INIT;
static struct drill_call *first, **last = &first;
static sem_t waiting;

static long script_thread; /* the one that runs the script */
static atomic_llong now_ns;
static atomic_int look; /* a foreign thread is to look at the clock before time goes on */

static long gettid_raw(void) { return syscall(SYS_gettid); }

void queue_init(void) {
    script_thread = gettid_raw();
    sem_init(&waiting, 0, 0);
}

static void enter(void) {
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        sched_yield();
}

static void leave(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

static void sem_wait_whole(sem_t *s) {
    while (sem_wait(s) != 0)
        ;
}

long long queue_call(struct drill_call *c) {
    c->foreign = gettid_raw() != script_thread;
    c->next = NULL;
    sem_init(&c->done, 0, 0);
    enter();
    *last = c;
    last = &c->next;
    leave();
    sem_post(&waiting);
    sem_wait_whole(&c->done);
    sem_destroy(&c->done);
    return c->ret;
}

struct drill_call *drill_next(void) {
    sem_wait_whole(&waiting);
    enter();
    struct drill_call *c = first;
    first = c->next;
    if (first == NULL)
        last = &first;
    leave();
    return c;
}

void drill_reply(struct drill_call *c) {
    atomic_store(&look, c->foreign);
    sem_post(&c->done); /* c is gone now */
    struct timespec pause = {0, 20000};
    for (int i = 0; i < 50000 && atomic_load(&look); i++) /* a second at most */
        nanosleep(&pause, NULL);
    atomic_store(&look, 0);
}

void drill_clock(long long now) { atomic_store(&now_ns, now); }

long long drill_now(void) { return atomic_load(&now_ns); }

/* A thread that looks at the clock again and again waits for time to go on: each look takes a microsecond, but for the one
 * that drill_reply waits for. */
long long queue_now(void) {
    if (gettid_raw() == script_thread || !atomic_load(&look))
        return atomic_fetch_add(&now_ns, 1000);
    long long t = atomic_load(&now_ns);
    atomic_store(&look, 0);
    return t;
}

int drill_fd(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }
