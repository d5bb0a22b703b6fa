// cabi/room.c by itself: what a process gets that may map nothing more. Linked with --wrap=mmap, as the engine is.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "room.h"

#define MB (1UL << 20)
#define RW (PROT_READ | PROT_WRITE)

// used writes to memory that may be written to, all of which must be zero.
static int used(char *p, size_t size, int prot)
{
    for (size_t i = 0; (prot & PROT_WRITE) && i < size; i += 4096)
        if (p[i]++ != 0)
            return -1;
    return 0;
}

static void got(const char *what, char *p, size_t size, int prot) { printf("%s: %d\n", what, p == MAP_FAILED ? errno : used(p, size, prot)); }

static void get(const char *what, size_t size, int prot)
{
    got(what, mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size, prot);
}

// put has what is reserved be written to.
static void put(const char *what, char *at, size_t size)
{
    got(what, mmap(at, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), size, RW);
}

static void limit(int resource, rlim_t to) { setrlimit(resource, &(struct rlimit){to, RLIM_INFINITY}); }

void *__real_malloc(size_t);

// pieces tells how many malloc has for a process whose heap is full.
static int pieces(void)
{
    int n = 0;
    void *p[64];
    while (n < 64 && (p[n] = malloc(64)))
        n++;
    for (int i = 0; i < n; i++)
        free(p[i]);
    return n;
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    limit(RLIMIT_AS, 4096);
    get("nothing kept", 4096, PROT_NONE);
    printf("keep: %d\n", room_keep());
    limit(RLIMIT_AS, RLIM_INFINITY);
    printf("keep: %d\n", room_keep());

    char *reserved = mmap(NULL, 64 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    limit(RLIMIT_AS, 4096);
    get("an arena", 64 * MB, PROT_NONE);
    get("another", 64 * MB, PROT_NONE);
    get("to write", 4 * MB, RW);
    get("to write", 4 * MB - 1, RW);
    get("to write", 1, RW);
    put("what is reserved", reserved, 64 * MB);
    printf("keep: %d\n", room_keep());
    limit(RLIMIT_AS, RLIM_INFINITY);
    printf("keep: %d\n", room_keep());
    munmap(reserved, 64 * MB);

    limit(RLIMIT_AS, 4096);
    char *hint = (char *)0xc000000000;
    printf("at its place: %d\n", mmap(hint, 60 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == hint);
    put("and used", hint, 60 * MB);
    printf("elsewhere: %d\n", mmap(hint, 2 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != hint);
    get("of data", 7 * MB, RW);
    get("of space", 2 * MB, RW);
    get("too much", 1 * MB + 1, RW);
    limit(RLIMIT_AS, RLIM_INFINITY);
    printf("keep: %d\n", room_keep());

    reserved = mmap(NULL, 16 * MB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    limit(RLIMIT_DATA, 4096);
    put("data in what is reserved", reserved, 4 * MB);
    get("data", 4 * MB, RW);
    get("more", 4096, RW);
    limit(RLIMIT_DATA, RLIM_INFINITY);
    printf("keep: %d\n", room_keep());
    printf("keep: %d\n", room_keep());

    limit(RLIMIT_AS, 4096);
    while (__real_malloc(64))
        ;
    printf("pieces: %d\n", pieces());
    printf("again: %d\n", pieces());
    return 0;
}
