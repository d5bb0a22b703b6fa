// Calls on descriptors as such.
#include "differ.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void made(long slot, int fd)
{
    say_result(fd);
    slot_set(slot, fd);
}

// close of a slot leaves its number there: what follows meets a closed descriptor, or another that took the number.
static void do_close(const long *a)
{
    bound_begin();
    int r = a[0] < SLOTS ? close(fd_of(a[0])) : (errno = EBADF, -1);
    bound_end();
    say_result(r);
}

static void do_dup(const long *a) { made(a[0], dup(fd_of(a[1]))); }
static void do_fcntl(const long *a) { say_result(fcntl(fd_of(a[0]), (int)a[1], a[2])); }

// dup2 onto the descriptor of another slot, which then names the same. Not onto the program's own.
static void do_dup2(const long *a)
{
    if (a[1] < SLOTS)
        say_result(dup2(fd_of(a[0]), fd_of(a[1])));
}

static void do_dup3(const long *a)
{
    if (a[1] < SLOTS)
        say_result(dup3(fd_of(a[0]), fd_of(a[1]), (int)a[2]));
}

static void do_dupfd(const long *a) { made(a[0], fcntl(fd_of(a[1]), (int)a[2], a[3])); }

static void do_ioctl(const long *a)
{
    int v = (int)a[2];
    if (a[1] == SIOCOUTQ || a[1] == SIOCOUTQNSD) // once all is acknowledged that will be
        for (int i = 0; i < patience_ms * 4 && ioctl(fd_of(a[0]), SIOCOUTQ, &v) == 0 && v > 0; i++)
            nap_us(500);
    int r = ioctl(fd_of(a[0]), (unsigned long)a[1], at(a[3], &v));
    say_result(r);
    if (r == 0 && a[1] != FIONBIO)
        say(" %d", v);
}

static void do_fstat(const long *a)
{
    struct stat s = { 0 };
    int r = fstat(fd_of(a[0]), &s);
    say_result(r);
    say(" mode %o size %ld", s.st_mode, (long)s.st_size);
}

// fork: the child does one thing with a descriptor: 0 sends, 1 receives, 2 closes, 3 nothing.
static void do_fork(const long *a)
{
    static unsigned char b[64];
    fflush(NULL);
    pid_t pid = a[2] ? vfork() : fork();
    if (pid == 0) {
        long r = a[2] ? 7 : a[1] == 0 ? send(fd_of(a[0]), "child", 5, MSG_DONTWAIT | MSG_NOSIGNAL) : a[1] == 1 ? recv(fd_of(a[0]), b, 64, MSG_DONTWAIT)
                                                                                     : a[1] == 2           ? close(fd_of(a[0]))
                                                                                                           : 0;
        _exit(r < 0 ? 128 + (errno & 127) : (int)(r & 127));
    }
    int status = 0;
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    say(pid < 0 ? "-1" : "child %d", WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
}

const struct op fd_ops[] = {
    { "close", do_close }, { "dup", do_dup }, { "dup2", do_dup2 }, { "dup3", do_dup3 }, { "dupfd", do_dupfd }, { "fcntl", do_fcntl },
    { "ioctl", do_ioctl }, { "fstat", do_fstat }, { "fork", do_fork }, { NULL, NULL },
};
