// Calls that move data between descriptors.
#include "differ.h"
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

static void gave(long r)
{
    bound_end();
    say_result(r);
}

static void do_sendfile(const long *a)
{
    off_t off = a[2];
    bound_begin();
    gave(sendfile(fd_of(a[0]), fd_of(a[1]), a[2] < -1 ? NULL : at(a[4], &off), (size_t)a[3]));
    if (a[2] >= -1)
        say(" offset %ld", (long)off);
}

static void do_splice(const long *a)
{
    loff_t off = 0;
    bound_begin();
    gave(splice(fd_of(a[0]), a[4] == 1 ? &off : NULL, fd_of(a[1]), a[4] == 2 ? &off : NULL, (size_t)a[2], (unsigned)a[3]));
}

static void do_tee(const long *a) { bound_begin(); gave(tee(fd_of(a[0]), fd_of(a[1]), (size_t)a[2], (unsigned)a[3])); }

static void do_copy(const long *a)
{
    bound_begin();
    gave(copy_file_range(fd_of(a[0]), NULL, fd_of(a[1]), NULL, (size_t)a[2], 0));
}

const struct op move_ops[] = { { "sendfile", do_sendfile }, { "splice", do_splice }, { "tee", do_tee }, { "copy_file_range", do_copy }, { NULL, NULL } };
