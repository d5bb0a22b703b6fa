#include "nest.h"

#include "epoll_set.h"
#include "real.h"

void nest_refresh(struct ep_set *set)
{
    if (atomic_load(&set->nready) > 0)
        set_ring(set);
}

// watch makes the set's kernel descriptor tell of the engine's members too. Under the lock.
static void watch(struct ep_set *set)
{
    if (set->nested)
        return;
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
    (void)outer;
    struct file *f;
    struct ep_set *set = set_of(inner, &f);
    if (!set)
        return;
    ready_lock();
    watch(set);
    ready_unlock();
    file_put(f);
}
