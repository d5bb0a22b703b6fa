/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions that packetdrill calls. Each puts its arguments into a drill_call; the machine, in Go, does the rest.
 */
#include "packetdrill.h"

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "_cgo_export.h"
#include "plugin.h"

static _Atomic unsigned char ours[4096]; /* by descriptor: it is a socket of the machine */

static int mine(int fd) { return fd >= 0 && fd < (int)sizeof ours && atomic_load(&ours[fd]); }

static void own(int fd, int yes) {
    if (fd >= 0 && fd < (int)sizeof ours)
        atomic_store(&ours[fd], (unsigned char)yes);
}

static long long ask(struct drill_call *c) {
    long long ret = queue_call(c);
    if (ret >= 0)
        return ret;
    errno = (int)-ret;
    return -1;
}

#define CALL(...) ask(&(struct drill_call){__VA_ARGS__})

static int new_fd(long long fd) {
    own((int)fd, 1);
    return (int)fd;
}

static void d_free(void *u) { (void)u; }

static int d_socket(void *u, int domain, int type, int protocol) {
    (void)u;
    return new_fd(CALL(.op = DRILL_SOCKET, .a = domain, .b = type, .c = protocol));
}

static int d_bind(void *u, int fd, const struct sockaddr *addr, socklen_t len) {
    (void)u;
    return (int)CALL(.op = DRILL_BIND, .fd = fd, .p = (void *)addr, .n = len);
}

static int d_listen(void *u, int fd, int backlog) {
    (void)u;
    return (int)CALL(.op = DRILL_LISTEN, .fd = fd, .a = backlog);
}

static int d_accept(void *u, int fd, struct sockaddr *addr, socklen_t *len) {
    (void)u;
    struct drill_call c = {.op = DRILL_ACCEPT, .fd = fd, .p = len ? addr : NULL, .n = addr && len ? *len : 0};
    int ret = new_fd(ask(&c));
    if (ret >= 0 && addr && len)
        *len = (socklen_t)c.n;
    return ret;
}

static int d_connect(void *u, int fd, const struct sockaddr *addr, socklen_t len) {
    (void)u;
    return (int)CALL(.op = DRILL_CONNECT, .fd = fd, .p = (void *)addr, .n = len);
}

/* A buffer that is not there, as the kernel would find out. */
static int bad(const struct iovec *iov, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (iov[i].iov_base == NULL && iov[i].iov_len > 0) {
            errno = EFAULT;
            return 1;
        }
    return 0;
}

static ssize_t receive(int fd, struct iovec *iov, size_t n, int flags, struct msghdr *msg) {
    if (!(flags & MSG_TRUNC) && bad(iov, n))
        return -1;
    struct drill_call c = {.op = DRILL_RECV, .fd = fd, .iov = iov, .n = n, .a = flags};
    if (msg) {
        c.p = msg->msg_control;
        c.at = c.p ? (long long)msg->msg_controllen : 0;
    }
    ssize_t ret = ask(&c);
    if (msg && ret >= 0) {
        msg->msg_namelen = 0;
        msg->msg_controllen = (size_t)c.at;
        msg->msg_flags = c.b;
    }
    return ret;
}

static ssize_t transmit(int fd, const struct iovec *iov, size_t n, int flags, const void *to, socklen_t len) {
    if (bad(iov, n))
        return -1;
    return CALL(.op = DRILL_SEND, .fd = fd, .iov = (struct iovec *)iov, .n = n, .a = flags, .p = (void *)to, .c = (int)len);
}

static ssize_t d_recv(void *u, int fd, void *buf, size_t len, int flags) {
    (void)u;
    struct iovec v = {buf, len};
    return receive(fd, &v, 1, flags, NULL);
}

static ssize_t d_read(void *u, int fd, void *buf, size_t count) { return d_recv(u, fd, buf, count, 0); }

static ssize_t d_readv(void *u, int fd, const struct iovec *iov, int n) {
    (void)u;
    return receive(fd, (struct iovec *)iov, (size_t)n, 0, NULL);
}

/* "The source address [...] is not filled in" for a connected TCP socket: its length becomes 0. */
static ssize_t d_recvfrom(void *u, int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen) {
    ssize_t ret = d_recv(u, fd, buf, len, flags);
    if (ret >= 0 && addr && addrlen)
        *addrlen = 0;
    return ret;
}

static ssize_t d_recvmsg(void *u, int fd, struct msghdr *msg, int flags) {
    (void)u;
    return receive(fd, msg->msg_iov, msg->msg_iovlen, flags, msg);
}

static ssize_t d_sendto(void *u, int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen) {
    (void)u;
    struct iovec v = {(void *)buf, len};
    return transmit(fd, &v, 1, flags, addr, addrlen);
}

static ssize_t d_send(void *u, int fd, const void *buf, size_t len, int flags) { return d_sendto(u, fd, buf, len, flags, NULL, 0); }

static ssize_t d_write(void *u, int fd, const void *buf, size_t count) { return d_sendto(u, fd, buf, count, 0, NULL, 0); }

static ssize_t d_writev(void *u, int fd, const struct iovec *iov, int n) {
    (void)u;
    return transmit(fd, iov, (size_t)n, 0, NULL, 0);
}

static ssize_t d_sendmsg(void *u, int fd, const struct msghdr *msg, int flags) {
    (void)u;
    return transmit(fd, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen);
}

static int d_fcntl(void *u, int fd, int cmd, ...) {
    (void)u;
    va_list ap;
    va_start(ap, cmd);
    int arg = cmd == F_GETFL || cmd == F_GETFD ? 0 : va_arg(ap, int);
    va_end(ap);
    return (int)CALL(.op = DRILL_FCNTL, .fd = fd, .a = cmd, .b = arg);
}

static int d_ioctl(void *u, int fd, unsigned long request, ...) {
    (void)u;
    va_list ap;
    va_start(ap, request);
    int *val = va_arg(ap, int *);
    va_end(ap);
    struct drill_call c = {.op = DRILL_IOCTL, .fd = fd, .n = request, .a = *val};
    int ret = (int)ask(&c);
    if (ret == 0)
        *val = c.a;
    return ret;
}

static int d_close(void *u, int fd) {
    (void)u;
    if (!mine(fd))
        return close(fd);
    own(fd, 0);
    int ret = (int)CALL(.op = DRILL_CLOSE, .fd = fd);
    int err = errno;
    close(fd);
    errno = err;
    return ret;
}

static int d_shutdown(void *u, int fd, int how) {
    (void)u;
    return (int)CALL(.op = DRILL_SHUTDOWN, .fd = fd, .a = how);
}

static int d_getsockopt(void *u, int fd, int level, int name, void *val, socklen_t *len) {
    (void)u;
    long long n = CALL(.op = DRILL_GETSOCKOPT, .fd = fd, .a = level, .b = name, .p = val, .n = *len);
    if (n < 0)
        return -1;
    *len = (socklen_t)n;
    return 0;
}

static int d_setsockopt(void *u, int fd, int level, int name, const void *val, socklen_t len) {
    (void)u;
    return (int)CALL(.op = DRILL_SETSOCKOPT, .fd = fd, .a = level, .b = name, .p = (void *)val, .n = len);
}

static int d_poll(void *u, struct pollfd *fds, nfds_t n, int timeout) {
    (void)u;
    return (int)CALL(.op = DRILL_POLL, .p = fds, .n = n, .a = timeout);
}

static int d_netdev_send(void *u, const void *buf, size_t count) {
    (void)u;
    return (int)CALL(.op = DRILL_PACKET_IN, .p = (void *)buf, .n = count);
}

static int d_netdev_receive(void *u, void *buf, size_t *count, long long *time_usecs) {
    (void)u;
    struct drill_call c = {.op = DRILL_PACKET_OUT, .p = buf, .n = *count};
    long long n = ask(&c);
    *count = n < 0 ? 0 : (size_t)n;
    *time_usecs = c.at / 1000;
    return n < 0 ? -1 : 0;
}

static int d_usleep(void *u, useconds_t usec) {
    (void)u;
    return (int)CALL(.op = DRILL_SLEEP, .n = usec);
}

static int d_gettimeofday(void *u, struct timeval *tv, struct timezone *tz) {
    (void)u;
    (void)tz;
    long long us = queue_now() / 1000;
    tv->tv_sec = us / 1000000;
    tv->tv_usec = us % 1000000;
    return 0;
}

static int d_epoll_create(void *u, int size) {
    (void)u;
    return new_fd(CALL(.op = DRILL_EPOLL_CREATE, .a = size));
}

static int d_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *event) {
    (void)u;
    return (int)CALL(.op = DRILL_EPOLL_CTL, .fd = epfd, .a = op, .b = fd, .p = event);
}

static int d_epoll_wait(void *u, int epfd, struct epoll_event *events, int max, int timeout) {
    (void)u;
    return (int)CALL(.op = DRILL_EPOLL_WAIT, .fd = epfd, .p = events, .a = max, .b = timeout);
}

static int d_pipe(void *u, int fds[2]) {
    (void)u;
    return pipe(fds);
}

/* at_mark: the next octet in the receive queue is urgent. tcp_splice_read gives 0 there: "we do not want to loop. This might
 * happen with URG data." */
static int at_mark(int fd) {
    struct drill_call c = {.op = DRILL_IOCTL, .fd = fd, .n = SIOCATMARK};
    return ask(&c) == 0 && c.a;
}

/* splice moves between a socket of the machine and a pipe of the kernel's, by a copy. */
static int d_splice(void *u, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len, unsigned int flags) {
    (void)u;
    (void)off_in;
    (void)off_out;
    if (mine(fd_in) == mine(fd_out)) {
        errno = EINVAL;
        return -1;
    }
    char *buf = malloc(len);
    struct iovec v = {buf, len};
    int wait = flags & 2 ? MSG_DONTWAIT : 0; /* SPLICE_F_NONBLOCK */
    int mark = mine(fd_in) && at_mark(fd_in);
    ssize_t n = mine(fd_in) ? receive(fd_in, &v, 1, mark ? MSG_DONTWAIT : wait, NULL) : read(fd_in, buf, len);
    if (n < 0 && mark && errno == EAGAIN)
        n = 0;
    if (n > 0) {
        v.iov_len = (size_t)n;
        n = mine(fd_out) ? transmit(fd_out, &v, 1, wait | (flags & 4 ? MSG_MORE : 0), NULL, 0) : write(fd_out, buf, (size_t)n);
    }
    free(buf);
    return (int)n;
}

/* getsockopt is here for a packetdrill that has this object preloaded: its %{ }% code asks libc for TCP_INFO, and gets that
 * of the machine's sockets. */
int getsockopt(int fd, int level, int name, void *val, socklen_t *len) {
    if (mine(fd))
        return d_getsockopt(NULL, fd, level, name, val, len);
    return (int)syscall(SYS_getsockopt, fd, level, name, val, len);
}

/* sendfile, too, is asked of libc: from a file of the kernel's, by a copy. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
    if (!mine(out))
        return syscall(SYS_sendfile, out, in, offset, count);
    char *buf = malloc(count);
    ssize_t n = offset ? pread(in, buf, count, *offset) : read(in, buf, count);
    if (n > 0)
        n = d_write(NULL, out, buf, (size_t)n);
    if (n > 0 && offset)
        *offset += n;
    free(buf);
    return n;
}

/* Commands that a script starts are none of our business. */
__attribute__((constructor)) static void alone(void) {
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "libsluice_packetdrill"))
        unsetenv("LD_PRELOAD");
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *t) {
    queue_init();
    drill_start(flags ? (char *)flags : "");
    *t = (struct packetdrill_interface){
        .free = d_free, .socket = d_socket, .bind = d_bind, .listen = d_listen, .accept = d_accept, .connect = d_connect,
        .read = d_read, .readv = d_readv, .recv = d_recv, .recvfrom = d_recvfrom, .recvmsg = d_recvmsg,
        .write = d_write, .writev = d_writev, .send = d_send, .sendto = d_sendto, .sendmsg = d_sendmsg,
        .fcntl = d_fcntl, .ioctl = d_ioctl, .close = d_close, .shutdown = d_shutdown,
        .getsockopt = d_getsockopt, .setsockopt = d_setsockopt, .poll = d_poll,
        .netdev_send = d_netdev_send, .netdev_receive = d_netdev_receive,
        .usleep = d_usleep, .gettimeofday = d_gettimeofday,
        .epoll_create = d_epoll_create, .epoll_ctl = d_epoll_ctl, .epoll_wait = d_epoll_wait,
        .pipe = d_pipe, .splice = d_splice,
    };
}
