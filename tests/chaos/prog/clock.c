// A preload object: CLOCK_REALTIME as a program and what it loads see it by libc, off by the nanoseconds that the file named by CHAOS_CLOCK
// holds at this moment. The machine's clock, which others use, stays as it is.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t none, *off = &none;
static int (*real)(clockid_t, struct timespec *);

// Before anything is loaded that asks for the time; workers that a program forks later share the page.
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CHAOS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (fd >= 0) {
        void *m = mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, fd, 0);
        if (m != MAP_FAILED)
            off = m;
        close(fd);
    }
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *t)
{
    if (!real)
        begin();
    int r = real(id, t);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ns = t->tv_nsec + *off % 1000000000;
        t->tv_sec += *off / 1000000000 + (ns >= 1000000000) - (ns < 0);
        t->tv_nsec = (ns + 1000000000) % 1000000000;
    }
    return r;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *v, void *zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *v = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *to)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (to)
        *to = t.tv_sec;
    return t.tv_sec;
}
