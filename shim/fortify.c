// The names that gcc's _FORTIFY_SOURCE gives to calls whose buffer size it knows.
#include "real.h"

extern void __chk_fail(void) __attribute__((noreturn));

INTERPOSE ssize_t __read_chk(int fd, void *b, size_t n, size_t size)
{
    if (n > size)
        __chk_fail();
    return read(fd, b, n);
}

INTERPOSE ssize_t __recv_chk(int fd, void *b, size_t n, size_t size, int flags)
{
    if (n > size)
        __chk_fail();
    return recv(fd, b, n, flags);
}

INTERPOSE ssize_t __recvfrom_chk(int fd, void *b, size_t n, size_t size, int flags, struct sockaddr *sa, socklen_t *len)
{
    if (n > size)
        __chk_fail();
    return recvfrom(fd, b, n, flags, sa, len);
}

INTERPOSE int __poll_chk(struct pollfd *p, nfds_t n, int ms, size_t size)
{
    if (size / sizeof *p < n)
        __chk_fail();
    return poll(p, n, ms);
}

INTERPOSE int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s, size_t size)
{
    if (size / sizeof *p < n)
        __chk_fail();
    return ppoll(p, n, t, s);
}
