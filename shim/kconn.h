// Connections that are the kernel's and that the engine may take: those it gave away, and those that the kernel accepted for a listener
// that the engine serves too.
//
// Every call that moves octets or changes such a connection goes through its gate and does not block inside; waiting is done outside. So
// whoever wants to move it shuts the gate, waits a moment until nobody is inside, and has it for himself.
#ifndef SLUICE_KCONN_H
#define SLUICE_KCONN_H

#include "iov.h"
#include "ours.h"

// kconn_new: a file for connections that the kernel has, NULL: none is needed (no engine runs here), or none left.
struct file *kconn_new(void);
// kconn_bind makes fd, a connection that the kernel just gave, one; returns fd.
int kconn_bind(int fd);

// kconn_enter: the file of fd, referenced, its gate entered; NULL: fd is no such connection (any more): look again what it is.
struct file *kconn_enter(int fd);
void kconn_leave(struct file *k);
// kconn_pin: fd's connection stays the kernel's for good: another process has it too, or something that only the kernel has is used.
void kconn_pin(int fd);
// kconn_option: an option is set: one that does not move along pins the connection.
void kconn_option(int fd, int level, int name);

// conn_here: fd is a connection of the engine's, which has not moved.
bool conn_here(int fd);
// BY_KERNEL(fd, call, look) is call, of a descriptor that the engine did not have when it was asked: inside the gate if it is such a connection. Should it
// have come to the engine since, its old socket is still behind the descriptor, and nobody must touch it: then it goes to the label look, where that is asked.
// BY_KERNEL_OR does another call inside: one that is no cancellation point.
#define BY_KERNEL(fd, call, look) BY_KERNEL_OR(fd, call, call, look)
#define BY_KERNEL_OR(fd, inside, call, look) __extension__({            \
    __typeof__(call) r_;                                                \
    struct file *k_ = fd_kind(fd) == FD_KCONN ? kconn_enter(fd) : NULL; \
    if (k_) {                                                           \
        r_ = (inside);                                                  \
        kconn_leave(k_);                                                \
    } else {                                                            \
        if (conn_here(fd))                                              \
            goto look;                                                  \
        r_ = (call);                                                    \
    }                                                                   \
    r_;                                                                 \
})

// Moving: kconn_shut lets nobody in and waits until nobody is; false: somebody stays inside. Then kconn_gone (fd is something else now), or
// kconn_open (it is not).
bool kconn_shut(struct file *k);
void kconn_open(struct file *k);
void kconn_gone(struct file *k);
bool kconn_moving(struct file *k);
bool kconn_busy(struct file *k); // somebody is inside

// Receiving and sending with the kernel's own rules; should the connection move meanwhile, the call goes on in the engine.
ssize_t kconn_recv(int fd, const struct iovec *iov, int n, int flags, struct msghdr *m);
ssize_t kconn_send(int fd, const struct iovec *iov, int n, int flags);
// The same for the rest of a call that began in the engine: its time-out ends at until; 0: not yet begun.
ssize_t kconn_recv_rest(int fd, struct iov_rest rest, int flags, struct msghdr *m, int64_t until);
ssize_t kconn_send_rest(int fd, struct iov_rest rest, int flags, int64_t until);
// kconn_keep: fd's next call tells err, which recvmmsg(2) cannot, if the kernel can be brought to it.
void kconn_keep(int fd, int err);
// kconn_wait: 1: something happened; 0: in time; -EINTR. k's reference stays the caller's, unless the thread is cancelled.
int kconn_wait(int fd, struct file *k, short events, int64_t timeout_ns, short *revents);

#endif
