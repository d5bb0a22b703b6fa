// Calls on other threads: one is begun, and given time to end or to block; its result is told when it is joined.
#include "differ.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 2 };

static struct worker {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    const struct op *op; // NULL: nothing to do
    long a[ARGS];
    bool started, busy; // busy: begun and not joined
    char result[8192];
} workers[WORKERS];

static void *work(void *arg)
{
    struct worker *w = arg;
    bound_init();
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->op)
            pthread_cond_wait(&w->turn, &w->lock);
        const struct op *o = w->op;
        pthread_mutex_unlock(&w->lock);
        line_clear();
        o->run(w->a);
        pthread_mutex_lock(&w->lock);
        snprintf(w->result, sizeof w->result, "%s", line());
        w->op = NULL;
        pthread_cond_broadcast(&w->turn);
    }
    return NULL;
}

static bool idle(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    bool done = !w->op;
    pthread_mutex_unlock(&w->lock);
    return done;
}

// on_thread returns when the call has ended, or most likely blocks.
void on_thread(long thread, const struct op *op, const long *a)
{
    struct worker *w = &workers[(thread - 1) & 1];
    if (w->busy)
        join_thread(thread), say(" ");
    if (!w->started) {
        pthread_mutex_init(&w->lock, NULL), pthread_cond_init(&w->turn, NULL);
        if (pthread_create(&w->id, NULL, work, w) != 0)
            return;
        w->started = true;
    }
    pthread_mutex_lock(&w->lock);
    memcpy(w->a, a, sizeof w->a);
    w->op = op, w->busy = true;
    pthread_cond_broadcast(&w->turn);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < patience_ms * 4 && !idle(w); i++)
        nap_us(50);
    say("begun");
}

// join_thread: the call's own bound ends it at the latest.
void join_thread(long thread)
{
    struct worker *w = &workers[(thread - 1) & 1];
    if (!w->busy) {
        say("nothing");
        return;
    }
    pthread_mutex_lock(&w->lock);
    while (w->op)
        pthread_cond_wait(&w->turn, &w->lock);
    pthread_mutex_unlock(&w->lock);
    w->busy = false;
    say("joined: %s", w->result);
}

void join_all(void)
{
    for (long t = 1; t <= WORKERS; t++)
        if (workers[t - 1].busy)
            join_thread(t);
}
