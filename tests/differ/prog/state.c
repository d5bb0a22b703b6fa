// What a sequence's calls share: descriptors by slot, memory good and bad, the line of results.
#include "differ.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int slot[SLOTS] = { [0 ... SLOTS - 1] = -1 }, file = -1, pipe_fds[2] = { -1, -1 };
static _Thread_local char text[8192];
static _Thread_local size_t used;
static _Thread_local volatile sig_atomic_t pipes;
static _Thread_local timer_t timer;
static _Thread_local int longer = 1; // calls on other threads are to be ended by others first

int fd_of(long s)
{
    switch (s) {
    case SLOTS:
        return -1;
    case SLOTS + 1:
        return 60; // open to nobody, and in any table of descriptors: select looks at no other
    case SLOTS + 2:
        return file;
    case SLOTS + 3:
        return pipe_fds[0];
    case SLOTS + 4:
        return pipe_fds[1];
    }
    return s >= 0 && s < SLOTS ? slot[s] : -1;
}

void slot_clear(long s)
{
    if (s >= 0 && s < SLOTS && slot[s] >= 0) {
        close(slot[s]);
        slot[s] = -1;
    }
}

void slot_set(long s, int fd)
{
    if (fd < 0)
        return;
    if (s < 0 || s >= SLOTS) {
        close(fd);
        return;
    }
    if (slot[s] != fd)
        slot_clear(s);
    slot[s] = fd;
}

// odd_fds makes a file and a pipe with something in them, new for each sequence.
void odd_fds(void)
{
    static char fill[8192];
    memset(fill, 'f', sizeof fill);
    close(file), close(pipe_fds[0]), close(pipe_fds[1]);
    file = memfd_create("differ", MFD_CLOEXEC);
    if (file < 0 || pipe2(pipe_fds, O_NONBLOCK) != 0 || write(file, fill, sizeof fill) < 0 || write(pipe_fds[1], fill, 300) < 0)
        _exit(4);
    lseek(file, 0, SEEK_SET);
}

char *line(void)
{
    if (pipes)
        say(" SIGPIPE*%d", (int)pipes);
    return text;
}

void line_clear(void)
{
    used = 0, text[0] = 0, pipes = 0;
}

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text + used, sizeof text - used, fmt, ap);
    va_end(ap);
    used += (size_t)n < sizeof text - used ? (size_t)n : sizeof text - used - 1;
}

void say_result(long r)
{
    if (r >= 0)
        say("%ld", r);
    else
        say("-1 %s", strerrorname_np(errno));
}

uint32_t sum_of(const unsigned char *b, long n, uint32_t sum)
{
    for (long i = 0; i < n; i++)
        sum = (sum ^ b[i]) * 16777619u;
    return sum;
}

void say_bytes(const void *b, long n)
{
    if (n > 0)
        say(" sum %08x", sum_of(b, n, 2166136261u));
}

void *at(long kind, void *good)
{
    static char *none;
    if (!none)
        none = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return kind == 1 ? NULL : kind == 2 ? none : good;
}

void nap_us(long us)
{
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };
    while (nanosleep(&t, &t) != 0)
        ;
}

static void on_signal(int sig)
{
    if (sig == SIGPIPE)
        pipes++;
}

// bound_init makes the calling thread's timer, and for the first the handlers.
void bound_init(void)
{
    static bool done;
    struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
    e._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (!done) {
        struct sigaction a = { .sa_handler = on_signal };
        sigaction(SIGALRM, &a, NULL);
        a.sa_flags = SA_RESTART;
        sigaction(SIGPIPE, &a, NULL);
        sigaction(SIGURG, &a, NULL);
        sigaction(SIGIO, &a, NULL);
        done = true;
    } else {
        longer = 3;
    }
    if (timer_create(CLOCK_MONOTONIC, &e, &timer) != 0)
        _exit(5);
}

static void set(int ms)
{
    int saved = errno;
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    timer_settime(timer, 0, &(struct itimerspec){ t, t }, NULL);
    errno = saved;
}

void bound_begin(void)
{
    set(patience_ms * longer);
}

void bound_end(void)
{
    set(0);
}
