/* SPDX-License-Identifier: Apache-2.0
 *
 * cabi.h: the whole border between the preload object (C, shim/) and the engine (Go, cabi/).
 *
 * The preload object dlopens libsluice_engine.so when a process first needs the user stack, finds the sl_ functions
 * below by dlsym, allocates one zeroed struct sl_shared (mmap, private and anonymous: a forked child gets a copy) and calls
 * sl_start. From then on a connection is a *handle*: a small number h, 0 <= h < SL_MAX_HANDLES, and words[h] tells
 * its readiness without entering Go.
 *
 * Rules that hold for every function:
 *  - Nothing blocks and nothing waits for the peer. A result >= 0 is success, a result < 0 is -errno, SL_MOVED or
 *    SL_KERNEL. Blocking calls, time-outs, MSG_WAITALL, SIGPIPE, O_NONBLOCK and descriptors are the C side's.
 *  - Any thread may call; one lock inside the engine orders the calls. A signal handler that interrupted a thread
 *    inside an sl_ function must not call one: the C side keeps a thread-local "inside" mark for this.
 *  - The engine wakes nobody. After each call (of any sl_ function) the C side drains the ring of changed handles and
 *    wakes whoever sleeps on them, and logs what is new in the ring of messages. If it started the engine with SL_KICKS it also kicks
 *    the transmit rings (struct sl_ring), at once or, when more is about to follow, soon.
 *  - Every descriptor that the engine keeps is close-on-exec, numbered high (>= boot.fd_min; two of the Go runtime may lie lower when
 *    fd_min is very large) and listed in own[]. Descriptors that it gives to
 *    the C side (SL_KERNEL_FD, moved) are close-on-exec, O_NONBLOCK and numbered anyhow: the C side dup2s them to their
 *    place and closes the original.
 *  - The engine never prints, exits or panics into the program. An internal fault marks it dead: every handle gets
 *    moved = SL_GONE, every call returns SL_MOVED (handles) or SL_KERNEL (sl_listen, sl_connect).
 *  - After fork the engine belongs to the parent alone. The child must not call into it, and its copy of struct sl_shared
 *    is frozen at the fork.
 *  - Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef SLUICE_CABI_H
#define SLUICE_CABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* cgo cannot read _Atomic: the engine sees plain words of the same layout and uses sync/atomic on them. */
#ifdef SL_CGO
#define SL_ATOMIC(T) T
#else
#define SL_ATOMIC(T) _Atomic(T)
#endif

#define SL_ABI 9 /* changes whenever anything in this file changes its meaning */

#define SL_MAX_HANDLES 131072 /* a power of two: ring positions are taken modulo it */
#define SL_MAX_RINGS 64
#define SL_MAX_OWN 256
#define SL_MAX_NOTES 32  /* a power of two */
#define SL_NOTE_TEXT 248 /* with the terminating NUL */

/* Results beside -errno (errno never exceeds 4095, these lie below). */
#define SL_MOVED (-10000)  /* the handle is a kernel socket now (or lost): look at words[h].moved */
#define SL_KERNEL (-10001) /* refused: use the kernel for this socket; the reason is in the ring of messages */

/* Set in a result of sl_accept (and sl_close): the low bits are a kernel descriptor, not a handle. */
#define SL_KERNEL_FD 0x40000000
/* How a socket comes to sl_connect. */
#define SL_FRESH 1
#define SL_CHOSEN 2
#define SL_BLOCKS 4

/* Set in a result of sl_connect: TCP_FASTOPEN_CONNECT, and a cookie is known: the SYN leaves with the first sl_send. */
#define SL_DEFERRED 0x20000000

/* words[h].moved */
#define SL_GONE 0xffffffffu /* lost with the engine: reads and writes fail with ECONNRESET, a listener goes on in the kernel */

/* The state of one handle that C reads without a crossing. Written by the engine only.
 *
 * ready     the POLL* bits the kernel's tcp_poll would report now: POLLIN POLLRDNORM POLLOUT POLLWRNORM POLLRDHUP POLLHUP
 *           POLLERR POLLPRI. Never trust it for the result of a call, only for whether to make one: a
 *           set POLLIN bit may be gone when sl_recv runs (-EAGAIN).
 * edge_in   counts what the kernel calls "data ready": data, FIN, RST, an error, a new connection to accept. An
 *           EPOLLET item fires when edge_in or edge_out differ from what the item saw last and its bits are ready.
 * edge_out  counts what the kernel calls "write space": room again after a full buffer, connect done, errors.
 *           Both only grow, modulo 2^32, and go on growing when a handle number is used again.
 * moved     0: an engine handle. fd + 1: the connection was handed to the kernel and is descriptor fd, which belongs to
 *           the C side: dup2 it over every descriptor of the handle (keeping each one's FD_CLOEXEC), put the program's own O_NONBLOCK on it,
 *           add it to the kernel's epoll sets, close fd, then sl_close(h) to free the number. SL_GONE: see there.
 *           Before C closes fd it sets moved to SL_GONE, or to another descriptor that stays: the engine passes copies of it on.
 *           A move sets moved first, then bumps both edges and sets ready to POLLIN|POLLOUT, and lists the handle as changed.
 */
struct sl_word {
	SL_ATOMIC(uint32_t) ready;
	SL_ATOMIC(uint32_t) edge_in;
	SL_ATOMIC(uint32_t) edge_out;
	SL_ATOMIC(uint32_t) moved;
};

/* The rings of one queue. There is something to receive when *prod != *cons: a spinner looks there.
 *
 * With SL_KICKS the engine only puts packets into the transmit ring, and kicks are the C side's. Packets wait for the kernel to be woken when *tx_prod != *tx_cons
 * and bit 0 of *tx_flags (XDP_RING_NEED_WAKEUP) is set: then sendto(tx_fd, NULL, 0, MSG_DONTWAIT, NULL, 0), again while that makes the ring
 * shorter. A kick is counted in kickers before tx_fd is read until it is over: the engine closes the descriptor only when there is none.
 *
 * The pointers of a queue that goes away are set to equal words first (tx_fd to -1), and the memory they pointed to stays mapped while the
 * process lives, so both may be read at any time. */
typedef SL_ATOMIC(uint32_t) *sl_index; /* an index in mapped ring memory, advanced by the kernel or the engine */
struct sl_desc { /* struct xdp_desc */
	uint64_t addr;
	uint32_t len, options;
};
typedef const struct sl_desc *sl_descs;
typedef struct sl_desc *sl_tx_descs;
typedef const char *sl_frames;
struct sl_ring {
	SL_ATOMIC(sl_index) prod, cons;
	SL_ATOMIC(sl_index) tx_prod, tx_cons, tx_flags;
	SL_ATOMIC(int32_t) tx_fd;
	SL_ATOMIC(uint32_t) kickers;
	SL_ATOMIC(uint32_t) kicking; /* the C side's: 1: a thread is in sendto, and looks at the ring again behind it */
	/* The packet at index i of the receive ring is at frames + desc[i & mask].addr: for fetching it into the cache, not for reading. frames may
	 * be unmapped. */
	SL_ATOMIC(sl_descs) desc;
	SL_ATOMIC(sl_frames) frames;
	SL_ATOMIC(uint32_t) mask, tx_mask;
	SL_ATOMIC(sl_tx_descs) tx_desc; /* of the transmit ring: for struct sl_plain */
};

/* The plain case of a connection, in which the C side receives and sends without the engine, and tells it afterwards.
 *
 * What a slot says holds until the engine is next entered, by anybody. Whoever acts on it takes plain_lock (which the engine holds while it is
 * entered) by changing it from 0 to 1, never waiting for it; sees that plain_on is set; acts; writes down what it did in the slot; adds the handle
 * to plain_done, unless it is the last there, and counts it in plain_used; and sets plain_lock to 0. The engine takes in what is written down before
 * anything else when it is next entered: by the caller, soon.
 *
 *   receiving   SL_PLAIN_QUEUED: the octets at frames + data, all that wait, are given to the program, or those it has room for; if all, POLLIN and
 *               POLLRDNORM in words[h].ready are cleared. Both grants to receive end with it. What else is in plain_done does not matter; below,
 *               it must be empty (for sending: or hold what the same handle received).
 *               SL_PLAIN_RECV: so is the payload of the first packet in the ring, if it is the connection's next segment in order: addresses and
 *               ports are those of head, turned round; no options but the timestamp, not older than ts_recent; no flags but ACK and PSH; an
 *               acknowledgment from snd_una to snd_nxt; at most room octets; the sums are right. It stays in the ring.
 *   sending     SL_PLAIN_SEND: up to most octets leave as one segment, if all that was sent is acknowledged (snd_una is snd_nxt, after the
 *               segment that was received, if any), the peer's window has room, and it is at_ns: in the frame, behind head, with XDP's checksum
 *               metadata in front. */
#define SL_PLAINS 256 /* handle h has slot h % SL_PLAINS, or none */
#define SL_PLAIN_RECV 1
#define SL_PLAIN_QUEUED 2
#define SL_PLAIN_SEND 4
#define SL_PLAIN_HEAD 66 /* Ethernet, IPv4, TCP with a timestamp: lengths, sums, numbers, window and timestamps are left out */
struct sl_plain {
	SL_ATOMIC(uint32_t) handle; /* + 1; 0: nobody's */
	SL_ATOMIC(uint32_t) grants;
	uint32_t ring;               /* in rings */
	uint32_t partial;            /* a packet's sum may be that of the pseudo-header alone */
	uint32_t rcv_nxt, snd_una, snd_nxt;
	uint32_t ts_recent, ts_offset; /* TSval is milliseconds and this */
	uint32_t room, most, queued;
	uint32_t window;               /* to tell, as in the header */
	uint32_t peer_window, peer_scale;
	uint32_t payload;              /* where in the frame the payload begins */
	uint64_t at_ns, data, frame;   /* the last two are offsets from frames */
	/* What was done. If less was read than there was, nothing may be sent. */
	uint32_t taken; /* 1: of the packet in the ring */
	uint32_t read, sent;
	uint32_t pad;
	uint64_t sent_ns;
	uint8_t head[SL_PLAIN_HEAD + 6];
};

/* What went wrong or is worth knowing, to be logged by the C side once, in its own words' order. */
struct sl_note {
	uint32_t level; /* 1 error, 2 info, 3 debug: as SLUICE_LOG */
	uint32_t pad;
	char text[SL_NOTE_TEXT]; /* one line, no newline: step, cause, what follows from it */
};

/* All that both sides see. Allocated and zeroed by C, lives as long as the process. */
struct sl_shared {
	struct sl_word words[SL_MAX_HANDLES];

	/* The changed handles, oldest first:
	 *
	 *     changed[] |..|h|h|h|..|      handles between head (C's) and tail (engine's) wait to be looked at
	 *                  ^head  ^tail
	 *
	 * A handle is in the ring at most once (queued[h] = 1), so it never overflows. The consumer, one thread at a
	 * time: while (head != tail) { h = changed[head % SL_MAX_HANDLES]; head = head + 1; queued[h] = 0; look at
	 * words[h]; } with queued[h] cleared (seq_cst) before words[h] is read, so that a later change is listed again. A handle
	 * that was closed in between may still be listed: ignore it. */
	SL_ATOMIC(uint32_t) changed_head; /* written by C */
	SL_ATOMIC(uint32_t) changed_tail; /* written by the engine */
	SL_ATOMIC(uint32_t) changed[SL_MAX_HANDLES];
	SL_ATOMIC(uint32_t) queued[SL_MAX_HANDLES];

	SL_ATOMIC(uint64_t) deadline_ns; /* call sl_poll at this time at the latest; 0: no timer is armed */
	SL_ATOMIC(uint64_t) entered_ns;  /* when the engine was last called. Calls that read or write take a turn (sl_poll's work) when none was taken for
	                                    a millisecond */

	/* Readable when a ring has packets (with SL_WATCH: not for that) or the engine has other business (broker, routes): for sleepers.
	 * Level-triggered: after it fires, sl_poll makes it quiet. Valid after sl_start. */
	int32_t wake_epfd;
	SL_ATOMIC(uint32_t) nrings; /* rings[0..nrings) may be looked at; never shrinks */
	struct sl_ring rings[SL_MAX_RINGS];

	SL_ATOMIC(uint32_t) handles; /* open handles: 0 means that the helper thread may rest for good */
	SL_ATOMIC(uint32_t) dead;    /* 1 after an internal fault: the engine will never do anything again */

	/* Messages to log: notes[n % SL_MAX_NOTES] for n from the C side's own count up to notes_tail. If C falls more than
	 * SL_MAX_NOTES behind, the oldest are lost. Each cause is reported once. */
	SL_ATOMIC(uint32_t) notes_tail;
	struct sl_note notes[SL_MAX_NOTES];

	/* The engine's own descriptors, number + 1, 0 for a free entry: the program must not see or close them, and a forked child closes them
	 * all at once (an AF_XDP socket that lives on in a child keeps its queue from the next owner). own_changes grows with every change. */
	SL_ATOMIC(uint32_t) own_changes;
	SL_ATOMIC(uint32_t) own[SL_MAX_OWN];

	/* Counts of the engine for tests and `sluice stats`; plain reads. */
	uint64_t crossings, turns, rx_packets, tx_packets, handovers, panics;

	/* Grows when somebody asks by hand for connections of the kernel to be taken (sl_wished); some handle is listed as changed, too. */
	SL_ATOMIC(uint32_t) wish;

	/* One of the program's descriptors of each handle, number + 1, 0 for none; written by C, for people (`sluice ss`). */
	SL_ATOMIC(int32_t) fds[SL_MAX_HANDLES];

	SL_ATOMIC(uint32_t) ring_changes; /* grows when a queue comes or goes: with SL_WATCH, sleepers have to look at rings[] again */

	/* Counted by C: waits that spun, sleeps in the kernel, kicks of transmit rings. */
	SL_ATOMIC(uint64_t) spins, sleeps, kicks;

	SL_ATOMIC(uint32_t) plain_lock, plain_on;
	SL_ATOMIC(uint32_t) plain_used;  /* how many of plain_done there are */
	uint32_t plain_done[SL_PLAINS]; /* handles whose slots say what was done, in that order */
	uint32_t plain_pad;
	uint64_t plain_reads, plain_sends; /* counted by C, under plain_lock */
	struct sl_plain plain[SL_PLAINS];

	char token[32]; /* what the broker knows this process by: a forked child shows its copy when it wants a connection of ours. "": none */

	SL_ATOMIC(uint32_t) starved; /* written by C: 1: it gets no memory for further connections */

	SL_ATOMIC(uint32_t) unanswered; /* 1: ACKs wait for what the program sends next; who waits calls sl_poll(1), before it sleeps until this is 0 */
};

/* How the engine is started. */
struct sl_boot {
	uint32_t size;   /* sizeof(struct sl_boot) */
	uint32_t abi;    /* SL_ABI */
	int32_t door_fd; /* a connection to the broker opened earlier (perhaps by an ancestor, before chroot and setuid), or -1:
	                    the engine connects to SLUICE_BROKER itself. Stays C's; must stay open, is used again for reconnection */
	int32_t fd_min;  /* the engine's own descriptors are numbered from here on */
	const char *const *env; /* "SLUICE_X=value" strings, NULL-terminated: the knobs, instead of the environment (which the
	                           program may have changed); copied */
	uint32_t flags; /* SL_KICKS, SL_WATCH */
	uint32_t pad;
};
#define SL_KICKS 1 /* the C side wakes the kernel for packets to send: struct sl_ring */
#define SL_WATCH 2 /* the C side waits for packets at each ring's tx_fd (POLLIN) beside wake_epfd */

/* What sl_recv tells beside the bytes. */
struct sl_recvinfo {
	uint32_t msg_flags; /* for msghdr.msg_flags: MSG_OOB, MSG_TRUNC; and SL_AT_MARK */
	uint32_t inq;       /* bytes left in the receive queue (TCP_INQ) */
	int64_t stamp_ns;   /* CLOCK_REALTIME of the last octet's packet, 0 unknown */
};

/* In msg_flags: urgent data is next. A call that has received something ends here, with MSG_WAITALL too. */
#define SL_AT_MARK 0x01000000

/* What sl_send_many sends by one handle. */
struct sl_piece {
	int32_t handle;
	uint32_t flags; /* SL_CORKED */
	const void *data;
	size_t len;
	ssize_t result; /* as sl_send's */
};

#ifndef SL_CGO

/* sl_start: start the engine in this process; once, before all else. Talks to the broker's door, maps nothing yet.
 * 0; -EINVAL: wrong abi or size; SL_KERNEL: no broker (reason noted): stay with the kernel, sl_start may be tried again
 * later. On failure the library stays loaded and idle. */
int sl_start(struct sl_shared *shared, const struct sl_boot *boot);

/* sl_listen: serve the listening kernel TCP socket kfd in the user stack too. The kernel listener goes on listening: it
 * takes what arrives before, between and after; accept asks sl_accept first, then the kernel. Options set on kfd up to now
 * are copied (and inherited by accepted connections as in the kernel); later ones go to both (sl_setsockopt and the kernel).
 * kfd is not kept: the engine takes its own duplicate. The queues of the device(s) are leased on the first call.
 * A handle; SL_KERNEL: refused (no broker, no queue, policy, namespace ...; reason noted), try again no sooner than a second later. */
int sl_listen(int kfd, int backlog);

/* sl_relisten: a further listen() on a listener: sets the backlog. 0 or -errno. */
int sl_relisten(int h, int backlog);

/* sl_accept: the next established connection of listener h.
 * A handle, peer address in sa/len as accept(2) (both may be NULL); SL_KERNEL_FD|fd: a kernel socket that another process or a
 * hand-over put into this queue (its address is filled in as well); -EAGAIN: none; -EINVAL: h does not listen. */
int sl_accept(int h, struct sockaddr *sa, socklen_t *len);

/* sl_connect: connect in the user stack. kfd is the program's TCP socket, bound or not. If it is bound it holds the port and must stay open
 * (the C side keeps it as the program's descriptor); if not, the address is the route's and the port one on lease. It must not be connected.
 * how: SL_FRESH: kfd is of sa's family, not bound, and no option of it was set; it is not asked for them. SL_CHOSEN: the port that it is bound
 * to is the kernel's choice, which cannot know of our TIME-WAITs: where the program's own choice would be EADDRNOTAVAIL the kernel connects. SL_BLOCKS: the program's thread waits for the outcome, and may then wait
 * for something that the engine does not see: the SYN-ACK is acknowledged at once.
 * A handle, handshake under way: POLLOUT in ready when it is over, SO_ERROR then tells the outcome (0 or ECONNREFUSED, ETIMEDOUT,
 * ...), as with a non-blocking connect; SL_KERNEL: use the kernel's connect on kfd (reason noted); -errno: final, as connect(2). */
int sl_connect(int kfd, const struct sockaddr *sa, socklen_t len, int how);

/* sl_connect_data: sendmsg with MSG_FASTOPEN: as sl_connect, with as much of iov on the SYN as fits (RFC 7413). *took: how many octets it
 * took, 0 without a cookie of the peer's, which the SYN asks for. The rest is for sl_send once the handshake is over. */
int sl_connect_data(int kfd, const struct sockaddr *sa, socklen_t len, const struct iovec *iov, int n, size_t *took);

/* A flag of sl_recv beside those of recvmsg: sl_poll's work is done first, in the same crossing. */
#define SL_TURN 0x04000000

/* sl_recv: as recvmsg. flags: MSG_PEEK, MSG_TRUNC (discard), MSG_OOB, others ignored. info may be NULL.
 * With MSG_TRUNC iov's memory is not looked at. Octets; 0: end of stream (or no room in iov); -EAGAIN; -ECONNRESET, -ETIMEDOUT, ...: the pending error, once, as in the kernel; -ENOTCONN;
 * -EINVAL: MSG_OOB without urgent data; SL_MOVED. */
ssize_t sl_recv(int h, const struct iovec *iov, int n, int flags, struct sl_recvinfo *info);

/* Flags of sl_send beside those of sendmsg, for one buffer that the program was told has been written, while POLLOUT was ready: its
 * octets are taken whatever the send buffer's limit (fewer only for want of frames), and a pending error stays for another call.
 * SL_CORKED: they were written between setting TCP_CORK and clearing it. */
#define SL_STAGED 0x10000000
#define SL_CORKED 0x08000000

/* sl_send: as sendmsg. flags: MSG_MORE, MSG_OOB, MSG_FASTOPEN (refused: -EISCONN, -EALREADY, -EOPNOTSUPP), others ignored.
 * Octets taken (maybe fewer than offered); -EAGAIN: no room; -EPIPE: closed for sending (the C side raises SIGPIPE); -ECONNRESET, ...; -ENOTCONN;
 * SL_MOVED. */
ssize_t sl_send(int h, const struct iovec *iov, int n, int flags);

/* sl_send_many: sl_send with SL_STAGED of one buffer each for several handles. */
void sl_send_many(struct sl_piece *v, int n);

/* sl_shutdown: as shutdown(2), how = SHUT_RD, SHUT_WR, SHUT_RDWR. On a listener: stops listening (accept fails with EINVAL).
 * 0; -ENOTCONN; -EINVAL; SL_MOVED. */
int sl_shutdown(int h, int how);

/* sl_close: the last descriptor of h was closed. Linger and unread data count as in the kernel; the stack finishes alone. Closing the
 * process's last listener drains it: established connections go to the kernel (they appear as moved), the lease is given back, what was
 * not accepted goes to the kernel listener's next owner.
 * 0; -EBADF: no such handle; SL_KERNEL_FD|fd: the handle had moved: fd belongs to the C side, as if read from words[h].moved (ignore it if the C side has
 * settled it before). The number h is free afterwards in every case. */
int sl_close(int h);

/* sl_setsockopt, sl_getsockopt: as the system calls, for SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6 options that have to do with the connection.
 * SO_ERROR, TCP_INFO, SO_RCVBUF ... come from here; SO_ERROR may be set, too: an error for the next call (the C side's own use, no program's); O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO are the C side's.
 * 0; -ENOPROTOOPT: the engine does not know the option: the C side asks the kernel socket; -EINVAL; -EFAULT; SL_MOVED. */
int sl_setsockopt(int h, int level, int name, const void *val, socklen_t len);
int sl_getsockopt(int h, int level, int name, void *val, socklen_t *len);

/* sl_name: getsockname (peer = 0) or getpeername (peer = 1): at most *len octets into sa, the full length into *len. An IPv4 connection of an
 * AF_INET6 listener shows as ::ffff:a.b.c.d. 0; -ENOTCONN; SL_MOVED. */
int sl_name(int h, int peer, struct sockaddr *sa, socklen_t *len);

/* sl_ioctl: SIOCINQ (= FIONREAD), SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. 0 and the answer in *val; -EINVAL: others, or a listener; SL_MOVED. */
int sl_ioctl(int h, unsigned long req, int *val);

/* sl_poll: one turn: packets in, timers, packets out, the broker's messages. Never blocks (hand-overs that the broker asks for take up to
 * a few hundred microseconds each). Call when a ring has work, wake_epfd is readable or deadline_ns has passed.
 * waits: 1: the thread is about to wait: it has no answer to what it has read; 0: it is not.
 * The number of packets and events handled; 0: nothing to do. */
int sl_poll(int waits);

/* sl_handover: give connection h to the kernel now (fork, exec, SCM_RIGHTS, a path that the engine cannot serve).
 * The kernel descriptor, which is also in words[h].moved: settle it as told there; -EBUSY: not now (handshake under way): try again after
 * sl_poll; -EOPNOTSUPP, -EIO: impossible (reason noted), the connection goes on in the engine; -EINVAL: a listener; SL_MOVED: already. */
int sl_handover(int h);

/* sl_wished: does the wish under way mean the connection of kernel socket kfd? 1; 0. */
int sl_wished(int kfd);

/* sl_takeover: the reverse of sl_handover: the connections of n kernel sockets go on in the engine. No thread may be in a call on one, and
 * none may be in an epoll set. Each kfd stays open, a TCP socket that soon is unconnected, as the placeholder of its handle. result, of each:
 * A handle; SL_KERNEL_FD|fd: the kernel had given the connection up and took it back as another socket: fd belongs to the C side;
 * -errno (reason noted): all is as it was. 0. */
int sl_takeover(int n, const int *kfd, int *result);

/* sl_wish_done: the connections of the wish under way were looked at: so many were moved, so many stayed. 0. */
int sl_wish_done(int moved, int left);

/* sl_stop: the process is about to exit (or exec): hands over what is open or unacknowledged so that the kernel finishes it, gives the lease back.
 * At most about two seconds, mostly milliseconds. Handles that moved show it in words[] (settle those that outlive an exec). Afterwards the engine is idle:
 * all calls give SL_MOVED / SL_KERNEL. 0. */
int sl_stop(void);

#endif /* SL_CGO */
#endif /* SLUICE_CABI_H */
