// Second names under which libc has some of the calls.
#include "real.h"

INTERPOSE int __close(int fd) { return close(fd); }
INTERPOSE int __connect(int fd, const struct sockaddr *sa, socklen_t n) { return connect(fd, sa, n); }
INTERPOSE int __dup2(int fd, int to) { return dup2(fd, to); }
INTERPOSE int __poll(struct pollfd *p, nfds_t n, int ms) { return poll(p, n, ms); }
INTERPOSE ssize_t __read(int fd, void *b, size_t n) { return read(fd, b, n); }
INTERPOSE int __select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t) { return select(n, r, w, e, t); }
INTERPOSE ssize_t __send(int fd, const void *b, size_t n, int flags) { return send(fd, b, n, flags); }
INTERPOSE ssize_t __write(int fd, const void *b, size_t n) { return write(fd, b, n); }

INTERPOSE FILE *_IO_fdopen(int fd, const char *mode) { return fdopen(fd, mode); }
INTERPOSE FILE *_IO_popen(const char *line, const char *mode) { return popen(line, mode); }

INTERPOSE int __fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return fcntl(fd, cmd, arg);
}
