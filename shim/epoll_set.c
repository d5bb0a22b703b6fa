#include "epoll_set.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "pages.h"
#include "raw.h"
#include "real.h"

struct ep_set *all_sets;
static struct ep_set *free_sets;

#define CHUNK 512
#define CHUNKS 1024
static struct ep_item *chunks[CHUNKS];
static uint32_t items_made;
static struct ep_item *free_items;

// ---- sets

static struct ep_set *take_set(void)
{
    if (!free_sets) {
        struct ep_set *more = pages_new(64 * sizeof *more);
        for (int i = 0; more && i < 64; i++) {
            more[i].next = free_sets;
            free_sets = &more[i];
        }
    }
    struct ep_set *set = free_sets;
    if (!set)
        return NULL;
    free_sets = set->next;
    *set = (struct ep_set){ .fd = -1, .bell = -1, .next = all_sets };
    if (all_sets)
        all_sets->prev = set;
    all_sets = set;
    return set;
}

bool set_new(int ep)
{
    struct file *f = file_new(FD_EPOLL);
    if (!f)
        return false;
    ready_lock();
    struct ep_set *set = take_set();
    ready_unlock();
    if (set) {
        set->program_fd = ep;
        atomic_store(&f->set, set);
        fd_bind(ep, f);
    }
    file_put(f);
    return set != NULL;
}

static void free_list(struct ep_item *it)
{
    while (it) {
        struct ep_item *next = it->next;
        item_free(it);
        it = next;
    }
}

void set_free(struct ep_set *set)
{
    ready_lock();
    free_list(set->conns);
    free_list(set->listeners);
    free_list(set->parked);
    if (set->prev)
        set->prev->next = set->next;
    else
        all_sets = set->next;
    if (set->next)
        set->next->prev = set->prev;
    ready_unlock();
    own_close(&set->bell);
    own_close(&set->fd);
    ready_lock();
    set->next = free_sets;
    free_sets = set;
    ready_unlock();
}

struct ep_set *set_of(int ep, struct file **f)
{
    *f = file_get(ep);
    if (*f && (*f)->kind == FD_EPOLL)
        return atomic_load(&(*f)->set);
    file_put(*f);
    *f = NULL;
    return NULL;
}

int set_fd(struct ep_set *set)
{
    int fd = atomic_load(&set->fd);
    if (fd >= 0)
        return fd;
    fd = (int)RAW(SYS_fcntl, set->program_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return set->program_fd;
    fd = own_move(fd, &set->fd);
    atomic_store(&set->fd, fd);
    return fd < 0 ? set->program_fd : fd;
}

void set_activate(struct ep_set *set, int by)
{
    int before = atomic_fetch_add(&set->active, by);
    if (before != 0 || by < 0)
        return;
    set_fd(set);
    set->kicks = atomic_load(&set->plain);
    if (set->kicks > 0)
        set_ring(set); // threads that wait in the kernel must come and wait here
}

// ---- the bell

bool set_bell(struct ep_set *set)
{
    if (atomic_load(&set->bell) >= 0)
        return true;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return false;
    fd = own_move(fd, &set->bell);
    if (fd < 0)
        return false;
    atomic_store(&set->bell, fd);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = bell_cookie() };
    return real.epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, &ev) == 0;
}

void set_ring(struct ep_set *set)
{
    uint64_t one = 1;
    if (set_bell(set))
        (void)!real.write(atomic_load(&set->bell), &one, sizeof one);
}

// ---- items

struct ep_item *item_at(uint32_t number)
{
    return number < items_made ? &chunks[number / CHUNK][number % CHUNK] : NULL;
}

static struct ep_item *take_item(void)
{
    struct ep_item *it = free_items;
    if (it) {
        free_items = it->next;
        return it;
    }
    uint32_t n = items_made;
    if (n / CHUNK >= CHUNKS)
        return NULL;
    if (!chunks[n / CHUNK] && !(chunks[n / CHUNK] = pages_new(CHUNK * sizeof *it)))
        return NULL;
    items_made++;
    chunks[n / CHUNK][n % CHUNK].number = n;
    return &chunks[n / CHUNK][n % CHUNK];
}

// count_detached keeps the set's count of listeners without a handle.
static void count_detached(struct ep_item *it, int by)
{
    if (it->listener && it->handle < 0)
        atomic_fetch_add(&it->set->detached, by);
}

struct ep_item *item_new(struct ep_set *set, int fd, struct file *f, const struct epoll_event *ev)
{
    bool listener = f->kind == FD_LISTENER;
    struct ep_item *it = take_item();
    if (!it)
        return NULL;
    uint32_t number = it->number;
    *it = (struct ep_item){ .set = set, .fd = fd, .file = f, .handle = -1, .number = number, .data = ev->data.u64,
                            .events = ev->events | EPOLLERR | EPOLLHUP, .listener = listener };
    count_detached(it, 1);
    return it;
}

void item_link(struct ep_item **list, struct ep_item *it)
{
    it->next = *list;
    it->link = list;
    if (it->next)
        it->next->link = &it->next;
    *list = it;
}

static void unlink_handle(struct ep_item *it)
{
    if (!it->hlink)
        return;
    *it->hlink = it->hnext;
    if (it->hnext)
        it->hnext->hlink = it->hlink;
    it->hlink = NULL;
    set_activate(it->set, -1);
}

void item_attach(struct ep_item *it, int handle)
{
    count_detached(it, -1);
    unlink_handle(it);
    item_unready(it);
    struct handle_list *l = ready_handle(handle);
    it->handle = l ? handle : -1;
    count_detached(it, 1);
    if (!l)
        return;
    // At the end, so that exclusive items are asked in the order they came.
    struct ep_item **at = &l->items;
    if (it->events & EPOLLEXCLUSIVE)
        while (*at)
            at = &(*at)->hnext;
    it->hnext = *at;
    it->hlink = at;
    if (it->hnext)
        it->hnext->hlink = &it->hnext;
    *at = it;
    set_activate(it->set, 1);
}

void item_free(struct ep_item *it)
{
    item_unready(it);
    unlink_handle(it);
    count_detached(it, -1);
    if (it->link) {
        *it->link = it->next;
        if (it->next)
            it->next->link = it->link;
    }
    it->set = NULL;
    it->link = NULL;
    it->next = free_items;
    free_items = it;
}

// find_in: the item of fd in a list of a set; f NULL: whatever file it is of.
static struct ep_item *find_in(struct ep_item *it, int fd, struct file *f)
{
    while (it && (it->fd != fd || (f && it->file != f)))
        it = it->next;
    return it;
}

struct ep_item *item_find(struct ep_set *set, int fd, struct file *f)
{
    if (f->kind == FD_LISTENER)
        return find_in(set->listeners, fd, f);
    struct handle_list *l = ready_handle(atomic_load(&f->handle));
    for (struct ep_item *it = l ? l->items : NULL; it; it = it->hnext)
        if (it->set == set && it->fd == fd && it->file == f)
            return it;
    return NULL;
}
