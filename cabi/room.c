/* SPDX-License-Identifier: Apache-2.0 */
// A process may be refused memory at any time: RLIMIT_AS and RLIMIT_DATA can be lowered from outside, also to less than it has. The program is told by ENOMEM; Go's
// runtime, which asks by runtime/cgo and so by this mmap (-Wl,--wrap=mmap), would end the process. So a part of both is mapped while that is allowed. What
// the runtime is refused is taken from there; to move it, and to permit more in what is mapped, the kernel asks for no room.
#define _GNU_SOURCE
#include "room.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#define PAGE 4096UL

// Either is mapped and never touched. What can be written to counts in RLIMIT_DATA and, if the program locks its memory, takes up some.
static struct kept {
    size_t size;
    int prot;
    char *at;
    size_t left; // from at on
} space = { 64UL << 20, PROT_NONE, NULL, 0 },            // an arena of the heap (runtime: heapArenaBytes)
  data = { 8UL << 20, PROT_READ | PROT_WRITE, NULL, 0 }; // twice what the heap grows by (runtime: pallocChunkBytes)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// take: the last n octets of what is kept; MAP_FAILED.
static void *take(struct kept *k, size_t n)
{
    if (n > k->left)
        return MAP_FAILED;
    k->left -= n;
    return k->at + k->left;
}

// take_to takes them to a place.
static void *take_to(struct kept *k, void *at, size_t n)
{
    void *p = take(k, n);
    return p == MAP_FAILED ? p : mremap(p, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static void *permit(void *p, size_t n, int prot) { return p == MAP_FAILED || mprotect(p, n, prot) < 0 ? MAP_FAILED : p; }

// vacant: nothing is mapped there. The kernel looks for that before it looks at limits.
static bool vacant(void *at, size_t n)
{
    void *p = mmap64(at, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p != MAP_FAILED)
        munmap(p, n);
    return p == at || (p == MAP_FAILED && errno == ENOMEM);
}

// renew makes what is reserved, and was never used, what mmap would have put in its place.
static void *renew(void *at, size_t n, int prot)
{
    void *p = permit(at, n, prot);
    return p == MAP_FAILED && (prot & PROT_WRITE) ? take_to(&data, at, n) : p;
}

static void *kept_for(void *at, size_t n, int prot, int flags)
{
    if (flags & MAP_FIXED)
        return renew(at, n, prot);
    if (prot & PROT_WRITE) {
        void *p = take(&data, n);
        return p != MAP_FAILED ? p : permit(take(&space, n), n, prot);
    }
    return at && vacant(at, n) ? take_to(&space, at, n) : take(&space, n);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    void *p = mmap64(at, size, prot, flags, fd, offset); // the other name is wrapped
    if (p == MAP_FAILED && errno == ENOMEM && (flags & MAP_ANONYMOUS)) {
        pthread_mutex_lock(&lock);
        p = kept_for(at, (size + PAGE - 1) & -PAGE, prot, flags);
        pthread_mutex_unlock(&lock);
        errno = ENOMEM;
    }
    return p;
}

// runtime/cgo asks malloc for what a thread is to do, and ends the process when there is none. Such a piece lives until the thread runs.
static union piece {
    union piece *next;
    char octets[64];
    max_align_t align;
} pieces[16], *piece_free;
static size_t pieces_used;

void *__real_malloc(size_t);
void __real_free(void *);

void *__wrap_malloc(size_t n)
{
    void *p = __real_malloc(n);
    if (p || n > sizeof pieces[0])
        return p;
    pthread_mutex_lock(&lock);
    if ((p = piece_free))
        piece_free = piece_free->next;
    else if (pieces_used < sizeof pieces / sizeof pieces[0])
        p = &pieces[pieces_used++];
    pthread_mutex_unlock(&lock);
    return p;
}

void __wrap_free(void *p)
{
    union piece *q = p;
    if (q < pieces || q >= pieces + sizeof pieces / sizeof pieces[0]) {
        __real_free(p);
        return;
    }
    pthread_mutex_lock(&lock);
    q->next = piece_free;
    piece_free = q;
    pthread_mutex_unlock(&lock);
}

// fill maps it anew if some was taken.
static bool fill(struct kept *k)
{
    if (k->left == k->size)
        return true;
    void *p = mmap64(NULL, k->size, k->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    if (k->left > 0)
        munmap(k->at, k->left);
    k->at = p, k->left = k->size;
    return true;
}

int room_keep(void)
{
    pthread_mutex_lock(&lock);
    bool whole = fill(&space) & fill(&data);
    pthread_mutex_unlock(&lock);
    return whole;
}
