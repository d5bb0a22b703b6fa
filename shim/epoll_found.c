// Sets that this program did not make: they came by exec, or over a unix socket, perhaps under several numbers.
#include <dirent.h>
#include <linux/kcmp.h>
#include <stdlib.h>

#include "epoll_set.h"
#include "ours.h"
#include "raw.h"

static bool same(int a, int b)
{
    long pid = RAW(SYS_getpid);
    return RAW(SYS_kcmp, pid, pid, KCMP_FILE, a, b) == 0; // else also if nobody may ask
}

// each_number calls what for each other number of ep's open file, until one says that it is done.
static bool each_number(int ep, bool (*what)(int ep, int fd))
{
    bool done = false;
    DIR *all = opendir("/proc/self/fd");
    for (struct dirent *d; all && !done && (d = readdir(all));) {
        int fd = atoi(d->d_name);
        enum fd_kind kind = fd_kind(fd);
        if (d->d_name[0] != '.' && fd != ep && (fd_load(fd) == 0 || kind == FD_EPOLL) && same(ep, fd))
            done = what(ep, fd);
    }
    if (all)
        closedir(all);
    return done;
}

static bool known(int ep, int fd)
{
    if (fd_kind(fd) != FD_EPOLL)
        return false;
    fd_forget(fd_alias(fd, ep, false), ep);
    return true;
}

static bool join(int ep, int fd)
{
    fd_forget(fd_alias(ep, fd, false), fd);
    return false;
}

bool set_found(int ep)
{
    new_fd(ep);
    if (each_number(ep, known))
        return true;
    if (!set_new(ep))
        return false;
    each_number(ep, join);
    return true;
}
