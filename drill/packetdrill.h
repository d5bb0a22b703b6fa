/* SPDX-License-Identifier: Apache-2.0
 *
 * The interface between packetdrill and a stack in a shared object, as packetdrill's --so_filename expects it: a table of
 * functions, filled in by packetdrill_interface_init. Written from the documented layout: order and types are the interface.
 *
 * Calls return what the system call of that name returns, and set errno. netdev_send hands an IP packet to the stack;
 * netdev_receive waits for the next one that leaves it, gives its length in *count (0: none) and the time in *time_usecs.
 */
#ifndef DRILL_PACKETDRILL_H
#define DRILL_PACKETDRILL_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct packetdrill_interface {
    void *userdata; /* first argument of every function */
    void (*free)(void *u);
    int (*socket)(void *u, int domain, int type, int protocol);
    int (*bind)(void *u, int fd, const struct sockaddr *addr, socklen_t len);
    int (*listen)(void *u, int fd, int backlog);
    int (*accept)(void *u, int fd, struct sockaddr *addr, socklen_t *len);
    int (*connect)(void *u, int fd, const struct sockaddr *addr, socklen_t len);
    ssize_t (*read)(void *u, int fd, void *buf, size_t count);
    ssize_t (*readv)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*recv)(void *u, int fd, void *buf, size_t len, int flags);
    ssize_t (*recvfrom)(void *u, int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen);
    ssize_t (*recvmsg)(void *u, int fd, struct msghdr *msg, int flags);
    ssize_t (*write)(void *u, int fd, const void *buf, size_t count);
    ssize_t (*writev)(void *u, int fd, const struct iovec *iov, int n);
    ssize_t (*send)(void *u, int fd, const void *buf, size_t len, int flags);
    ssize_t (*sendto)(void *u, int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen);
    ssize_t (*sendmsg)(void *u, int fd, const struct msghdr *msg, int flags);
    int (*fcntl)(void *u, int fd, int cmd, ...);
    int (*ioctl)(void *u, int fd, unsigned long request, ...);
    int (*close)(void *u, int fd);
    int (*shutdown)(void *u, int fd, int how);
    int (*getsockopt)(void *u, int fd, int level, int name, void *val, socklen_t *len);
    int (*setsockopt)(void *u, int fd, int level, int name, const void *val, socklen_t len);
    int (*poll)(void *u, struct pollfd *fds, nfds_t n, int timeout);
    int (*netdev_send)(void *u, const void *buf, size_t count);
    int (*netdev_receive)(void *u, void *buf, size_t *count, long long *time_usecs);
    int (*usleep)(void *u, useconds_t usec);
    int (*gettimeofday)(void *u, struct timeval *tv, struct timezone *tz);
    int (*epoll_create)(void *u, int size);
    int (*epoll_ctl)(void *u, int epfd, int op, int fd, struct epoll_event *event);
    int (*epoll_wait)(void *u, int epfd, struct epoll_event *events, int max, int timeout);
    int (*pipe)(void *u, int fds[2]);
    int (*splice)(void *u, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t len, unsigned int flags);
};

#endif
