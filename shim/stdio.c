// Streams read and write inside libc, where no call can be caught: a connection that becomes one is handed to the kernel first.
#include <errno.h>
#include <stdlib.h>

#include "ours.h"

extern void __chk_fail(void) __attribute__((noreturn));

INTERPOSE FILE *fdopen(int fd, const char *mode)
{
    handover_to_libc(fd);
    return real.fdopen(fd, mode);
}

INTERPOSE int vdprintf(int fd, const char *fmt, va_list ap)
{
    handover_for_good(fd);
    return real.vdprintf(fd, fmt, ap);
}

INTERPOSE int dprintf(int fd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = vdprintf(fd, fmt, ap);
    va_end(ap);
    return r;
}

INTERPOSE int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
    handover_for_good(fd);
    return real.__vdprintf_chk(fd, flag, fmt, ap);
}

INTERPOSE int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = __vdprintf_chk(fd, flag, fmt, ap);
    va_end(ap);
    return r;
}
