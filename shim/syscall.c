// syscall(): programs that make system calls by number get the same answers as by name.
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "fdmap.h"
#include "fresh.h"
#include "probe.h"
#include "process.h"
#include "raw.h"
#include "real.h"

// pselect6's sixth argument is the address of the mask's address and its size.
static long pselect_by_number(const long *a)
{
    struct {
        const sigset_t *mask;
        size_t size;
    } sig = { NULL, 8 };
    if (a[5] && !probe_copy(&sig, (void *)a[5], sizeof sig))
        return raw_result(-EFAULT);
    if (sig.mask && sig.size != 8)
        return raw_result(-EINVAL);
    return pselect((int)a[0], (void *)a[1], (void *)a[2], (void *)a[3], (void *)a[4], sig.mask);
}

// by_name serves the numbers that have an interposed name. False: all others.
static bool by_name(long nr, const long *a, long *ret)
{
    switch (nr) {
#define CALL(number, call) case number: *ret = (long)(call); return true
#define P(i) ((void *)a[i])
#define I(i) ((int)a[i])
    CALL(SYS_socket, socket(I(0), I(1), I(2)));
    CALL(SYS_bind, bind(I(0), P(1), (socklen_t)a[2]));
    CALL(SYS_listen, listen(I(0), I(1)));
    CALL(SYS_accept, accept(I(0), P(1), P(2)));
    CALL(SYS_accept4, accept4(I(0), P(1), P(2), I(3)));
    CALL(SYS_connect, connect(I(0), P(1), (socklen_t)a[2]));
    CALL(SYS_shutdown, shutdown(I(0), I(1)));
    CALL(SYS_getsockname, getsockname(I(0), P(1), P(2)));
    CALL(SYS_getpeername, getpeername(I(0), P(1), P(2)));
    CALL(SYS_getsockopt, getsockopt(I(0), I(1), I(2), P(3), P(4)));
    CALL(SYS_setsockopt, setsockopt(I(0), I(1), I(2), P(3), (socklen_t)a[4]));
    CALL(SYS_read, read(I(0), P(1), (size_t)a[2]));
    CALL(SYS_readv, readv(I(0), P(1), I(2)));
    CALL(SYS_preadv2, preadv2(I(0), P(1), I(2), a[3], I(5)));
    CALL(SYS_recvfrom, recvfrom(I(0), P(1), (size_t)a[2], I(3), P(4), P(5)));
    CALL(SYS_recvmsg, recvmsg(I(0), P(1), I(2)));
    CALL(SYS_recvmmsg, recvmmsg(I(0), P(1), (unsigned)a[2], I(3), P(4)));
    CALL(SYS_write, write(I(0), P(1), (size_t)a[2]));
    CALL(SYS_writev, writev(I(0), P(1), I(2)));
    CALL(SYS_pwritev2, pwritev2(I(0), P(1), I(2), a[3], I(5)));
    CALL(SYS_sendto, sendto(I(0), P(1), (size_t)a[2], I(3), P(4), (socklen_t)a[5]));
    CALL(SYS_sendmsg, sendmsg(I(0), P(1), I(2)));
    CALL(SYS_sendmmsg, sendmmsg(I(0), P(1), (unsigned)a[2], I(3)));
    CALL(SYS_sendfile, sendfile(I(0), I(1), P(2), (size_t)a[3]));
    CALL(SYS_splice, splice(I(0), P(1), I(2), P(3), (size_t)a[4], (unsigned)a[5]));
    CALL(SYS_close, close(I(0)));
    CALL(SYS_close_range, close_range((unsigned)a[0], (unsigned)a[1], I(2)));
    CALL(SYS_dup, dup(I(0)));
    CALL(SYS_dup3, dup3(I(0), I(1), I(2)));
    CALL(SYS_fcntl, fcntl(I(0), I(1), P(2)));
    CALL(SYS_ioctl, ioctl(I(0), (unsigned long)a[1], P(2)));
    CALL(SYS_epoll_create1, epoll_create1(I(0)));
    CALL(SYS_epoll_ctl, epoll_ctl(I(0), I(1), I(2), P(3)));
    CALL(SYS_epoll_pwait, epoll_pwait(I(0), P(1), I(2), I(3), P(4)));
    CALL(SYS_epoll_pwait2, epoll_pwait2(I(0), P(1), I(2), P(3), P(4)));
    CALL(SYS_ppoll, ppoll(P(0), (nfds_t)a[1], P(2), P(3)));
    CALL(SYS_getrlimit, getrlimit(I(0), P(1)));
    CALL(SYS_setrlimit, setrlimit(I(0), P(1)));
    CALL(SYS_prlimit64, prlimit(I(0), I(1), P(2), P(3)));
    CALL(SYS_copy_file_range, copy_file_range(I(0), P(1), I(2), P(3), (size_t)a[4], (unsigned)a[5]));
    CALL(SYS_pselect6, pselect_by_number(a));
    CALL(SYS_setns, setns(I(0), I(1)));
    CALL(SYS_unshare, unshare(I(0)));
    CALL(SYS_execve, execve(P(0), P(1), P(2)));
    CALL(SYS_execveat, execveat(I(0), P(1), P(2), P(3), I(4)));
#ifdef SYS_poll // the older numbers that new architectures lack
    CALL(SYS_dup2, dup2(I(0), I(1)));
    CALL(SYS_poll, poll(P(0), (nfds_t)a[1], I(2)));
    CALL(SYS_select, select(I(0), P(1), P(2), P(3), P(4)));
    CALL(SYS_epoll_create, epoll_create(I(0)));
    CALL(SYS_epoll_wait, epoll_wait(I(0), P(1), I(2), I(3)));
#endif
#undef CALL
#undef P
#undef I
    default:
        return false;
    }
}

// matters: may this number concern us at all? If nothing is ours, only calls that could change that or name a hidden descriptor.
static bool matters(long nr)
{
    if (atomic_load_explicit(&fd_files, memory_order_relaxed) != 0 || atomic_load_explicit(&fresh_some, memory_order_relaxed))
        return true;
    switch (nr) {
#ifdef SYS_fork
    case SYS_fork:
#endif
    case SYS_clone: case SYS_clone3: case SYS_execve: case SYS_execveat: case SYS_getrlimit: case SYS_setrlimit: case SYS_prlimit64:
    case SYS_setns: case SYS_unshare: case SYS_listen: case SYS_connect: case SYS_close: case SYS_close_range: case SYS_dup3:
        return true;
    default:
        return false;
    }
}

INTERPOSE long syscall(long nr, ...)
{
    long a[6], ret;
    va_list ap;
    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (matters(nr)) {
        if (by_name(nr, a, &ret) || fork_by_number(nr, a, &ret))
            return ret;
        if (nr == SYS_exit_group)
            process_leave();
    }
    return raw_result(RAW(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}
