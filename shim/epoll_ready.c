// The ready lists: how changes of handles become events, as ep_poll_callback and ep_send_events do it in the kernel.
#include "epoll_set.h"
#include "probe.h"
#include "real.h"

// What the kernel's sk_data_ready and sk_write_space say when they wake a poller.
#define KEY_IN (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLPRI | EPOLLRDHUP)
#define KEY_OUT (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)
#define KEY_END (EPOLLRDHUP | EPOLLHUP | EPOLLERR) // sk_state_change wakes whatever is waited for

void item_unready(struct ep_item *it)
{
    struct ep_set *set = it->set;
    if (!it->is_ready)
        return;
    if (it->rprev)
        it->rprev->rnext = it->rnext;
    else
        set->rhead = it->rnext;
    if (it->rnext)
        it->rnext->rprev = it->rprev;
    else
        set->rtail = it->rprev;
    it->is_ready = false;
    atomic_store_explicit(&set->nready, set->nready - 1, memory_order_relaxed);
}

static void append(struct ep_item *it)
{
    struct ep_set *set = it->set;
    it->rnext = NULL;
    it->rprev = set->rtail;
    if (it->rprev)
        it->rprev->rnext = it;
    else
        set->rhead = it;
    set->rtail = it;
    it->is_ready = true;
    atomic_store_explicit(&set->nready, set->nready + 1, memory_order_relaxed);
}

void item_ready(struct ep_item *it)
{
    if (!it->is_ready)
        append(it);
    set_wake_one(it->set);
    if (it->set->nested)
        set_ring(it->set);
}

void set_wake_one(struct ep_set *set)
{
    struct frame *f = set->threads;
    while (f && f->who->notified)
        f = f->next;
    if (f)
        sleeper_notify(f->who);
}

void set_thread_joins(struct ep_set *set, struct frame *f)
{
    f->set = set;
    f->prev = NULL;
    f->next = set->threads;
    if (f->next)
        f->next->prev = f;
    set->threads = f;
}

void set_thread_leaves(struct ep_set *set, struct frame *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        set->threads = f->next;
    if (f->next)
        f->next->prev = f->prev;
    if (set->nready > 0)
        set_wake_one(set); // what this thread was woken for, another may take
}

static bool disarmed(const struct ep_item *it) { return (it->events & ~(uint32_t)EP_PRIVATE) == 0; }

// fires: does what happened to h since the item last fired concern it? Edges are read before the bits (the engine writes them in the
// opposite order), so that an edge is never taken for seen whose bits were not.
static bool fires(const struct sl_shared *s, struct ep_item *it, int h)
{
    const struct sl_word *w = &s->words[h];
    uint32_t in = atomic_load_explicit(&w->edge_in, memory_order_acquire);
    uint32_t out = atomic_load_explicit(&w->edge_out, memory_order_acquire);
    uint32_t bits = atomic_load_explicit(&w->ready, memory_order_acquire);
    uint32_t key = 0;
    if (in != it->seen_in)
        key |= KEY_IN | (bits & KEY_END ? ~0u : 0);
    if (out != it->seen_out)
        key |= KEY_OUT | (bits & KEY_END ? ~0u : 0);
    it->seen_in = in;
    it->seen_out = out;
    if (!(it->events & EPOLLET))
        key = ~0u;
    return (key & it->events & ~(uint32_t)EP_PRIVATE) != 0 && (bits & it->events) != 0;
}

void items_changed(struct sl_shared *s, struct ep_item *items, int h)
{
    bool taken = false; // an exclusive item has woken a thread: the other exclusive ones sleep on
    for (struct ep_item *it = items; it; it = it->hnext) {
        bool exclusive = it->events & EPOLLEXCLUSIVE;
        if (disarmed(it) || (exclusive && taken) || !fires(s, it, h))
            continue;
        taken = exclusive && it->set->threads != NULL;
        item_ready(it);
    }
}

void item_look(const struct sl_shared *s, struct ep_item *it)
{
    if (it->handle < 0 || disarmed(it))
        return;
    const struct sl_word *w = &s->words[it->handle];
    it->seen_in = atomic_load_explicit(&w->edge_in, memory_order_acquire);
    it->seen_out = atomic_load_explicit(&w->edge_out, memory_order_acquire);
    if (atomic_load_explicit(&w->ready, memory_order_acquire) & it->events)
        item_ready(it);
}

// disarm stops a one-shot item that fired here; the kernel's half of a listener too.
static void disarm(struct ep_set *set, struct ep_item *it)
{
    it->events &= EP_PRIVATE;
    if (!it->listener)
        return;
    struct epoll_event ev = { .events = it->events, .data.u64 = item_cookie(it) };
    real.epoll_ctl(set_fd(set), EPOLL_CTL_MOD, it->fd, &ev);
}

bool event_fits(struct epoll_event *ev) { return probe_writable(ev, sizeof *ev) == sizeof *ev; }

int set_collect(const struct sl_shared *s, struct ep_set *set, struct epoll_event *ev, int n, int max, uint32_t round)
{
    for (int left = set->nready; left > 0 && n < max && event_fits(&ev[n]); left--) {
        struct ep_item *it = set->rhead;
        item_unready(it);
        const struct sl_word *w = &s->words[it->handle];
        uint32_t in = atomic_load_explicit(&w->edge_in, memory_order_acquire);
        uint32_t out = atomic_load_explicit(&w->edge_out, memory_order_acquire);
        uint32_t bits = atomic_load_explicit(&w->ready, memory_order_acquire) & it->events & ~(uint32_t)EP_PRIVATE;
        it->seen_in = in;
        it->seen_out = out;
        if (bits == 0 || atomic_load_explicit(&w->moved, memory_order_relaxed) != 0)
            continue; // not ready any more, or the kernel will tell
        if (it->round == round) {
            ev[it->slot].events |= bits;
        } else {
            it->round = round;
            it->slot = n;
            ev[n++] = (struct epoll_event){ .events = bits, .data.u64 = it->data };
        }
        if (it->events & EPOLLONESHOT)
            disarm(set, it);
        else if (!(it->events & EPOLLET))
            append(it);
    }
    return n;
}

// Cookies: a prefix that no pointer, descriptor or small number has, and the item.
#define COOKIE_PREFIX 0x8e51ce57u
#define COOKIE_BELL 0xffffffffu

uint64_t item_cookie(const struct ep_item *it) { return (uint64_t)COOKIE_PREFIX << 32 | it->number; }
uint64_t bell_cookie(void) { return (uint64_t)COOKIE_PREFIX << 32 | COOKIE_BELL; }

// cookie_item: the listener's item that data stands for, NULL: none of this set.
static struct ep_item *cookie_item(struct ep_set *set, uint64_t data)
{
    struct ep_item *it = item_at((uint32_t)data);
    return it && it->set == set && it->listener ? it : NULL;
}

int set_translate(struct ep_set *set, struct epoll_event *ev, int n, uint32_t round)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        struct epoll_event e = ev[i];
        if (e.data.u64 >> 32 != COOKIE_PREFIX) {
            ev[kept++] = e;
            continue;
        }
        if ((uint32_t)e.data.u64 == COOKIE_BELL) {
            if (set->kicks > 0 && atomic_load(&set->plain) > 0) {
                set->kicks--;
                set_ring(set);
            }
            continue;
        }
        struct ep_item *it = cookie_item(set, e.data.u64);
        if (!it || disarmed(it))
            continue; // taken out, or fired here already
        e.data.u64 = it->data;
        if (it->events & EPOLLONESHOT) {
            it->events &= EP_PRIVATE;
            item_unready(it);
        }
        it->round = round;
        it->slot = kept;
        ev[kept++] = e;
    }
    return kept;
}
