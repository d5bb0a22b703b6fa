#include "nest.h"

#include "epoll_set.h"
#include "real.h"

static bool still(const struct sl_shared *s, const struct ep_item *it)
{
    const struct sl_word *w = &s->words[it->handle];
    return (atomic_load(&w->ready) & it->events & ~(uint32_t)EP_PRIVATE) != 0 && atomic_load(&w->moved) == 0;
}

// Items that are ready no more leave the ready list, as they do when the kernel polls a set.
bool nest_any(struct ep_set *set)
{
    struct sl_shared *s = shared();
    while (s && set->rhead && !still(s, set->rhead))
        item_unready(set->rhead);
    return set->rhead != NULL;
}

void nest_refresh(struct ep_set *set)
{
    uint64_t rung;
    if (nest_any(set))
        set_ring(set);
    else if (atomic_load(&set->bell) >= 0 && atomic_load(&set->plain) == 0) // else it may be rung for those
        (void)!real.read(atomic_load(&set->bell), &rung, sizeof rung);
}

void nest_settle(void)
{
    ready_lock();
    for (struct ep_set *set = all_sets; set; set = set->next)
        if (set->nested)
            nest_refresh(set);
    ready_unlock();
}

// watch makes the set's kernel descriptor tell of the engine's members too. Under the lock.
static void watch(struct ep_set *set)
{
    if (!set->nested)
        set->nested = set_bell(set);
    nest_refresh(set);
}

bool nest_watch(int ep)
{
    struct file *f;
    struct ep_set *set = set_of(ep, &f);
    if (!set)
        return false;
    bool ours = atomic_load(&set->active) > 0 && shared();
    if (ours) {
        ready_lock();
        watch(set);
        ready_unlock();
    }
    file_put(f);
    return ours;
}

void nest_enter(int outer, int inner)
{
    struct file *fo, *fi;
    struct ep_set *holder = set_of(outer, &fo), *set = set_of(inner, &fi);
    if (holder && set) {
        ready_lock();
        holder->holds_sets = true;
        watch(set);
        ready_unlock();
    }
    file_put(fo);
    file_put(fi);
}
