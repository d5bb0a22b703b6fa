// The fd map and the table of open files. Readers take no lock; writers use single atomic exchanges.
#include "fdmap.h"

#include <errno.h>
#include <stddef.h>

#include "engine.h"
#include "epoll_set.h"
#include "file.h"
#include "hands.h"
#include "locks.h"
#include "pages.h"
#include "raw.h"

_Atomic(fd_entry *) fd_top[FD_TOP];
_Atomic uint32_t fd_files;

// publish puts fresh memory into *slot unless another thread was first, and returns what is there.
static void *publish(_Atomic(void *) *slot, size_t bytes)
{
    void *have = atomic_load_explicit(slot, memory_order_acquire);
    if (have)
        return have;
    void *fresh = pages_new(bytes);
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(slot, &have, fresh))
        return fresh;
    pages_free(fresh, bytes);
    return have;
}

// fd_slot: the entry of fd, its page made if need be.
static fd_entry *fd_slot(int fd, bool make)
{
    if ((unsigned)fd >= FD_MAX)
        return NULL;
    _Atomic(fd_entry *) *top = &fd_top[fd / FD_PAGE];
    fd_entry *page = atomic_load_explicit(top, memory_order_acquire);
    if (!page && make)
        page = publish((_Atomic(void *) *)(void *)top, FD_PAGE * sizeof(fd_entry));
    return page ? &page[fd % FD_PAGE] : NULL;
}

// Files live in chunks that are never given back, so that a stale reader may look at one and then notice that it is not its own.
#define FILE_CHUNK 1024
static _Atomic(void *) file_chunks[FILE_MAX / FILE_CHUNK];
static _Atomic uint32_t file_used;     // numbers handed out so far
static _Atomic uint64_t file_free;     // head of the free list: change count << 32 | number + 1

static struct file *file_at(uint32_t number)
{
    if (number >= FILE_MAX)
        return NULL;
    struct file *chunk = atomic_load_explicit(&file_chunks[number / FILE_CHUNK], memory_order_acquire);
    return chunk ? &chunk[number % FILE_CHUNK] : NULL;
}

static struct file *file_pop(void)
{
    uint64_t head = atomic_load(&file_free);
    while ((uint32_t)head != 0) {
        struct file *f = file_at((uint32_t)head - 1);
        uint64_t next = ((head >> 32) + 1) << 32 | atomic_load_explicit(&f->next_free, memory_order_relaxed);
        if (atomic_compare_exchange_weak(&file_free, &head, next))
            return f;
    }
    uint32_t n = atomic_fetch_add(&file_used, 1);
    if (n >= FILE_MAX) {
        atomic_fetch_sub(&file_used, 1);
        return NULL;
    }
    struct file *chunk = publish(&file_chunks[n / FILE_CHUNK], FILE_CHUNK * sizeof(struct file));
    if (!chunk)
        return NULL;
    chunk[n % FILE_CHUNK].number = n;
    return &chunk[n % FILE_CHUNK];
}

static void file_push(struct file *f)
{
    uint64_t head = atomic_load(&file_free);
    uint64_t next;
    do {
        atomic_store_explicit(&f->next_free, (uint32_t)head, memory_order_relaxed);
        next = ((head >> 32) + 1) << 32 | (f->number + 1);
    } while (!atomic_compare_exchange_weak(&file_free, &head, next));
}

struct file *file_new(enum fd_kind kind)
{
    struct file *f = file_pop();
    if (!f)
        return NULL;
    atomic_fetch_add(&f->gen, 1);
    f->kind = kind;
    atomic_store(&f->fds, 0);
    atomic_store(&f->handle, -1);
    atomic_store(&f->fd, -1);
    atomic_store(&f->nonblock, false);
    atomic_store(&f->rcv_timeout_ns, 0);
    atomic_store(&f->snd_timeout_ns, 0);
    atomic_store(&f->rcv_lowat, 1);
    atomic_store(&f->retry_ns, 0);
    atomic_store(&f->set, NULL);
    atomic_store(&f->stage, NULL);
    f->corked = false;
    f->backlog = 0;
    f->inet6 = false;
    f->pause_ns = 0;
    f->ino = 0;
    f->connecting = f->deferred = f->asked = f->inq = f->reuse = f->reports = false;
    f->settled = false;
    f->kept = -1;
    atomic_store(&f->gate, 0);
    atomic_store(&f->pinned, false);
    f->unsure = false;
    atomic_store(&f->heirs, 0);
    f->heir_next = NULL;
    f->owner = 0, f->foreign = -1;
    atomic_fetch_add(&fd_files, 1);
    atomic_store_explicit(&f->refs, 1, memory_order_release);
    return f;
}

void file_hold(struct file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void file_put(struct file *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    file_dispose(f);
    atomic_fetch_sub(&fd_files, 1);
    file_push(f);
}

static uint64_t file_entry(struct file *f)
{
    uint64_t gen = atomic_load_explicit(&f->gen, memory_order_relaxed) & 0xffffff;
    return (uint64_t)f->number << 32 | gen << 8 | f->kind;
}

// file_try takes a reference unless the file is gone already.
static bool file_try(struct file *f)
{
    uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);
    while (refs != 0)
        if (atomic_compare_exchange_weak_explicit(&f->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

struct file *file_get_slow(int fd)
{
    for (;;) {
        uint64_t e = fd_load(fd);
        if (e == 0 || entry_kind(e) == FD_OWN)
            return NULL;
        struct file *f = file_at(entry_number(e));
        bool got = file_try(f);
        if (((fd_load(fd) ^ e) & ~ENTRY_HELD) == 0)
            return got ? f : NULL;
        if (got)
            file_put(f); // fd was closed, and perhaps used again, while we took the reference
    }
}

bool file_is(struct file *f, int fd)
{
    return (fd_load(fd) & ~ENTRY_HELD) == file_entry(f);
}

// swap replaces an entry that nobody holds.
static uint64_t swap(fd_entry *slot, uint64_t fresh)
{
    uint64_t e = atomic_load(slot);
    while (e & ENTRY_HELD || !atomic_compare_exchange_weak(slot, &e, fresh)) {
        if (e & ENTRY_HELD)
            RAW(SYS_sched_yield);
        e = atomic_load(slot);
    }
    return e;
}

// name_fd remembers fd as the one of f to ask the kernel by, and to show to people.
static void name_fd(struct file *f, int fd)
{
    atomic_store(&f->fd, fd);
    struct sl_shared *s = shared();
    int handle = atomic_load(&f->handle);
    if (s && handle >= 0 && handle < SL_MAX_HANDLES)
        atomic_store_explicit(&s->fds[handle], fd + 1, memory_order_relaxed);
}

// release undoes what fd_bind did for one entry.
static void release(uint64_t e, int fd)
{
    if (e == 0 || entry_kind(e) == FD_OWN)
        return;
    struct file *f = file_at(entry_number(e));
    bool others = atomic_fetch_sub(&f->fds, 1) > 1;
    if (others && atomic_load(&f->fd) == fd)
        fd_each(f, file_note_fd, NULL);
    if (others && f->kind == FD_KCONN && epoll_saw(fd)) // what was added under fd stays in the kernel's set, and nobody can name it to take it out
        atomic_store(&f->pinned, true);
    file_put(f);
}

void file_note_fd(int fd, struct file *f, void *arg)
{
    (void)arg;
    name_fd(f, fd);
}

bool fd_bind(int fd, struct file *f)
{
    fd_entry *slot = fd_slot(fd, true);
    if (!slot)
        return false;
    file_hold(f);
    if (atomic_fetch_add(&f->fds, 1) == 0)
        name_fd(f, fd);
    release(swap(slot, file_entry(f)), fd);
    return true;
}

bool fd_hold(int fd)
{
    fd_entry *slot = fd_slot(fd, false);
    if (!slot)
        return false;
    hands_off(1);
    lock_takes(LOCK_ENTRY);
    for (;;) {
        uint64_t e = atomic_load(slot);
        if ((e & ~ENTRY_HELD) == 0 || entry_kind(e) == FD_OWN) {
            hands_off(-1);
            return false;
        }
        if (!(e & ENTRY_HELD) && atomic_compare_exchange_weak(slot, &e, e | ENTRY_HELD)) {
            lock_has(LOCK_ENTRY, 1);
            return true;
        }
        RAW(SYS_sched_yield);
    }
}

void fd_unhold(int fd)
{
    atomic_fetch_and(fd_slot(fd, false), ~ENTRY_HELD);
    lock_has(LOCK_ENTRY, -1);
    hands_off(-1);
}

void fd_rebind(int fd, struct file *f)
{
    if (f) {
        file_hold(f);
        if (atomic_fetch_add(&f->fds, 1) == 0)
            name_fd(f, fd);
    }
    uint64_t was = atomic_exchange(fd_slot(fd, false), f ? file_entry(f) : 0) & ~ENTRY_HELD;
    lock_has(LOCK_ENTRY, -1);
    hands_off(-1);
    release(was, fd);
}

void fd_forget(uint64_t entry, int fd) { release(entry, fd); }

uint64_t fd_alias(int old, int fd, bool held)
{
    struct file *f = file_get(old);
    fd_entry *slot = fd_slot(fd, f != NULL);
    uint64_t fresh = f && slot ? file_entry(f) : 0;
    if (fresh) {
        file_hold(f);
        atomic_fetch_add(&f->fds, 1);
    }
    uint64_t was = 0;
    if (slot)
        was = held ? atomic_exchange(slot, fresh) & ~ENTRY_HELD : swap(slot, fresh);
    if (held) {
        lock_has(LOCK_ENTRY, -1);
        hands_off(-1);
    }
    if (f)
        atomic_fetch_sub(&f->refs, 1); // old still names it
    return was;
}

void fd_forked(void)
{
    for (int i = 0; i < FD_TOP; i++) {
        fd_entry *page = atomic_load(&fd_top[i]);
        for (int j = 0; page && j < FD_PAGE; j++)
            if (atomic_load_explicit(&page[j], memory_order_relaxed) & ENTRY_HELD)
                atomic_fetch_and(&page[j], ~ENTRY_HELD);
    }
}

bool fd_drop(int fd)
{
    fd_entry *slot = fd_slot(fd, false);
    if (!slot || atomic_load_explicit(slot, memory_order_relaxed) == 0)
        return false;
    uint64_t e = swap(slot, 0);
    release(e, fd);
    return e != 0;
}

bool fd_mark(int fd, enum fd_kind kind)
{
    fd_entry *slot = fd_slot(fd, true);
    if (!slot)
        return false;
    release(swap(slot, (uint64_t)kind), fd);
    return true;
}

void fd_each(struct file *f, void (*fn)(int fd, struct file *f, void *arg), void *arg)
{
    for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
        if (f && !file_is(f, fd))
            continue;
        struct file *g = file_get(fd);
        if (g && (!f || g == f)) // else fd was closed, and is another's, since we looked
            fn(fd, g, arg);
        file_put(g);
    }
}

int fd_next(int from)
{
    for (int fd = from < 0 ? 0 : from; fd < FD_MAX; fd++) {
        if (!atomic_load_explicit(&fd_top[fd / FD_PAGE], memory_order_acquire))
            fd |= FD_PAGE - 1; // on to the next page
        else if (fd_load(fd) != 0)
            return fd;
    }
    return -1;
}

// Which file an engine handle belongs to: number + 1.
static _Atomic(void *) by_handle;
#define HANDLES (1u << 17)

void file_set_handle(struct file *f, int handle)
{
    _Atomic uint32_t *table = publish(&by_handle, HANDLES * sizeof(uint32_t));
    int old = atomic_exchange(&f->handle, handle);
    uint32_t mine = f->number + 1;
    if (table && old >= 0)
        atomic_compare_exchange_strong(&table[old], &mine, 0);
    if (table && handle >= 0 && (unsigned)handle < HANDLES)
        atomic_store(&table[handle], f->number + 1);
    if (handle >= 0)
        name_fd(f, atomic_load(&f->fd));
}

struct file *file_of_handle(int handle)
{
    _Atomic uint32_t *table = atomic_load(&by_handle);
    if (!table || (unsigned)handle >= HANDLES)
        return NULL;
    uint32_t n = atomic_load(&table[handle]);
    struct file *f = n ? file_at(n - 1) : NULL;
    if (!f || !file_try(f))
        return NULL;
    if (atomic_load(&f->handle) == handle)
        return f;
    file_put(f);
    return NULL;
}
