// Receiving and sending on a connection of the engine, with the kernel's rules for blocking, time-outs, signals.
#ifndef SLUICE_CONN_IO_H
#define SLUICE_CONN_IO_H

#include "ours.h"

// conn_result gives f back and tells whether the engine's answer r stands, as libc would give it in *ret: else the kernel is to be asked.
bool conn_result(struct file *f, int r, int *ret);

bool tcp_inq(int fd); // whether TCP_INQ is set on the kernel's socket fd
bool reuse_of(struct file *f); // SO_REUSEADDR of a connection
void reuse_set(int kernel, bool on); // and of the kernel socket that it becomes
bool kernels_own(int fd); // whether fd's connections report by MSG_ERRQUEUE (SO_ZEROCOPY, SO_TIMESTAMPING), which only the kernel's do
void kernels_copy(int listener, int fd); // fd, accepted, becomes the kernel's and reports as its listener says

// Beside MSG_* flags, none of which has these values but MSG_CMSG_CLOEXEC:
#define IO_READ 0x40000000  // read(2)'s rules (nothing asked for: 0 at once)
#define IO_LATER 0x10000000 // recvmmsg(2) has a message: any signal ends the wait for another
#define IO_OWN (IO_READ | IO_LATER)

// Each gives f's reference back. The result is libc's: >= 0, or -1 and errno. Should the connection move to the kernel meanwhile, the
// call goes on there.
ssize_t conn_recv(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info);
ssize_t conn_send(int fd, struct file *f, const struct iovec *iov, int n, int flags);
// What a call takes along while its connection goes to and fro.
struct trip {
    int64_t until; // its time-out ends, wherever it first waited; 0: not yet begun
    bool moved;    // the connection has left the engine: the result is the octets that were done by then
};
// The same within a call of the kernel's (kconn_io.c), which goes on itself should the connection move back meanwhile.
ssize_t conn_recv_part(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info, struct trip *trip);
ssize_t conn_send_part(int fd, struct file *f, const struct iovec *iov, int n, int flags, struct trip *trip);

// TCP Fast Open (connect.c). connect_data: sendmsg with MSG_FASTOPEN on a socket that is not connected: false: the kernel's, else *ret is
// the result. send_deferred: the first send after a connect with TCP_FASTOPEN_CONNECT.
bool connect_data(int fd, const struct sockaddr *sa, socklen_t n, const struct iovec *iov, size_t count, int flags, ssize_t *ret);
ssize_t send_deferred(int fd, struct file *f, const struct iovec *iov, int n, int flags);

#endif
