#include "ready.h"

#include <sys/mman.h>

#include "attach.h"
#include "epoll_set.h"
#include "helper.h"
#include "knobs.h"
#include "listener.h"
#include "locks.h"
#include "ours.h"
#include "raw.h"
#include "stage.h"
#include "wait.h"
#include "wait_frame.h"

static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP; // held for less than a sleep takes
static struct handle_list *handles; // SL_MAX_HANDLES of them, untouched pages cost nothing
static _Atomic int32_t moved_head;          // handle + 1 of the first that waits to be settled
static _Thread_local bool settling __attribute__((tls_model("initial-exec")));

void ready_lock(void)
{
    engine_inside++;
    lock_takes(LOCK_READY);
    pthread_mutex_lock(&lock);
    lock_has(LOCK_READY, 1);
}

void ready_unlock(void)
{
    struct wakes w;
    bool some = wakes_take(&w) > 0;
    lock_has(LOCK_READY, -1);
    pthread_mutex_unlock(&lock);
    if (some)
        wakes_ring(&w);
    if (--engine_inside == 0 && signals_held)
        signals_release();
}

void wait_prepare(void) { ready_lock(); }
void wait_parent(void) { ready_unlock(); }

void ready_init(void)
{
    size_t bytes = SL_MAX_HANDLES * sizeof(struct handle_list);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    handles = p == MAP_FAILED ? NULL : p;
}

void ready_lock_forked(void) { lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP; }

void ready_forked(void)
{
    if (handles)
        munmap(handles, SL_MAX_HANDLES * sizeof(struct handle_list));
    handles = NULL;
    moved_head = 0;
    settling = false;
}

struct handle_list *ready_handle(int h)
{
    return handles && (unsigned)h < SL_MAX_HANDLES ? &handles[h] : NULL;
}

void waiter_add(struct waiter *w, int h)
{
    struct handle_list *l = ready_handle(h);
    w->link = NULL;
    if (!l)
        return;
    w->next = l->waiters;
    w->link = &l->waiters;
    if (w->next)
        w->next->link = &w->next;
    l->waiters = w;
}

void waiter_remove(struct waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
}

// list_moved remembers that h became a kernel socket: it is settled outside the lock.
static void list_moved(struct handle_list *l, int h)
{
    if (l->listed_moved)
        return;
    l->listed_moved = true;
    l->next_moved = moved_head;
    moved_head = h + 1;
}

// changed: the engine listed h. Under the lock.
static void changed(struct sl_shared *s, int h)
{
    struct handle_list *l = ready_handle(h);
    if (!l)
        return;
    if (atomic_load(&s->words[h].moved) != 0) {
        list_moved(l, h);
        items_leave(s, l->items, h);
    }
    if (l->items)
        items_changed(s, l->items, h);
    uint32_t bits = ready_bits(s, h);
    for (struct waiter *w = l->waiters; w; w = w->next)
        if (bits & w->events)
            sleeper_notify(w->who);
}

// drain looks at every changed handle, oldest first (cabi.h tells the protocol).
static void drain(struct sl_shared *s)
{
    uint32_t head = atomic_load_explicit(&s->changed_head, memory_order_relaxed);
    while (head != atomic_load_explicit(&s->changed_tail, memory_order_acquire)) {
        uint32_t h = atomic_load_explicit(&s->changed[head % SL_MAX_HANDLES], memory_order_relaxed);
        atomic_store_explicit(&s->changed_head, ++head, memory_order_release);
        atomic_store(&s->queued[h], 0); // before words[h] is read: a later change is listed again
        changed(s, (int)h);
    }
}

// take_moved: the next handle to settle, -1: none.
static int take_moved(void)
{
    ready_lock();
    int h = moved_head - 1;
    if (h >= 0) {
        moved_head = handles[h].next_moved;
        handles[h].listed_moved = false;
    }
    ready_unlock();
    return h;
}

void settle_moved(void)
{
    if (settling || settle_waits() || __builtin_expect(atomic_load_explicit(&moved_head, memory_order_relaxed) == 0, 1))
        return;
    settling = true;
    for (int h; (h = take_moved()) >= 0;) {
        struct file *f = file_of_handle(h);
        if (!f)
            continue;
        if (f->kind == FD_LISTENER)
            listener_left(atomic_load(&f->fd), f);
        else
            file_settle(f);
        file_put(f);
    }
    settling = false;
}

void after_engine(void)
{
    struct sl_shared *s = shared();
    if (!s)
        return;
    uint32_t tail = atomic_load_explicit(&s->changed_tail, memory_order_acquire);
    if (tail != atomic_load_explicit(&s->changed_head, memory_order_relaxed)) {
        ready_lock();
        drain(s);
        if (atomic_load_explicit(&s->wish, memory_order_relaxed) != attach_seen())
            helper_call();
        ready_unlock();
    }
    sleep_check_deadline(s);
    sleep_check_rings(s);
    settle_moved();
}

bool engine_due(const struct sl_shared *s)
{
    uint32_t n = atomic_load_explicit(&s->nrings, memory_order_acquire);
    for (uint32_t i = 0; i < n; i++) {
        sl_index prod = atomic_load_explicit(&s->rings[i].prod, memory_order_relaxed);
        sl_index cons = atomic_load_explicit(&s->rings[i].cons, memory_order_relaxed);
        if (prod && cons && atomic_load_explicit(prod, memory_order_acquire) != atomic_load_explicit(cons, memory_order_relaxed))
            return true;
    }
    uint64_t at = atomic_load_explicit(&s->deadline_ns, memory_order_relaxed);
    return at != 0 && (uint64_t)now_ns() >= at;
}

#define FETCH_PACKETS 16
#define FETCH_BYTES 192 // headers and a short request
#define LINE 64

static void fetch(const struct sl_ring *r)
{
    sl_index prod = atomic_load_explicit(&r->prod, memory_order_relaxed);
    sl_index cons = atomic_load_explicit(&r->cons, memory_order_relaxed);
    sl_descs desc = atomic_load_explicit(&r->desc, memory_order_acquire);
    if (!prod || !cons || !desc)
        return;
    uint32_t mask = atomic_load_explicit(&r->mask, memory_order_relaxed);
    const char *frames = atomic_load_explicit(&r->frames, memory_order_relaxed);
    uint32_t i = atomic_load_explicit(cons, memory_order_relaxed), n = atomic_load_explicit(prod, memory_order_acquire) - i;
    for (n = n < FETCH_PACKETS ? n : FETCH_PACKETS; n > 0; n--, i++) {
        const struct sl_desc *d = &desc[i & mask];
        uint32_t len = d->len < FETCH_BYTES ? d->len : FETCH_BYTES;
        for (uint32_t at = 0; at < len; at += LINE)
            __builtin_prefetch(frames + d->addr + at);
    }
}

void engine_fetch(const struct sl_shared *s)
{
    uint32_t n = atomic_load_explicit(&s->nrings, memory_order_acquire);
    if (!(knobs.fast & FAST_PREFETCH))
        return;
    for (uint32_t i = 0; i < n; i++)
        fetch(&s->rings[i]);
}

static void turn(struct sl_shared *s, bool force, int waits)
{
    if (!force && !engine_due(s))
        return;
    engine_fetch(s);
    ENGINE(sl_poll, waits);
}

void engine_turn(struct sl_shared *s, bool force) { turn(s, force, 0); }
void engine_wait(struct sl_shared *s, bool force) { turn(s, force, 1); }

void wait_start(void)
{
    ready_init();
    helper_start();
}

void wait_forked(void)
{
    frames_forked();
    ready_forked();
    sleep_forked();
    helper_forked();
    epoll_forked();
}
