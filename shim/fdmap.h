// Which descriptors are ours. Asked on every call, so it is a look-up of two loads and no lock.
//
//   fd ──► top[fd / 1024] ──► page[fd % 1024] = kind | generation | number of a struct file
//
// A struct file is what the kernel calls an open file description: several descriptors (dup) may name one. Descriptors that
// are plainly the kernel's have no struct file and a zero entry.
#ifndef SLUICE_FDMAP_H
#define SLUICE_FDMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fd_kind {
    FD_KERNEL = 0, // the kernel's, or not known to us
    FD_LISTENER,   // a listening socket that the knobs select; the kernel listens too. handle < 0: not in the engine (yet)
    FD_CONN,       // a connection in the engine; the descriptor itself is a dup of a placeholder socket (or the connecting one)
    FD_EPOLL,      // an epoll set
    FD_KCONN,      // a connection that is the kernel's now and may come (back) to the engine (kconn.h)
    FD_OWN,        // a descriptor of sluice's own: the program can't see it. No struct file.
};

#define FILE_MAX (1u << 18) // open file descriptions that are ours at once

struct stage;

struct file {
    _Atomic uint32_t refs; // descriptors + calls in progress; at 0 the number is free
    _Atomic uint32_t fds;  // descriptors
    _Atomic uint32_t gen;  // changes each time the number is used again
    uint32_t number;
    enum fd_kind kind;
    _Atomic int32_t handle;   // the engine's handle, < 0: none
    _Atomic int fd;           // one of its descriptors (the first one), for asking the kernel about the file
    _Atomic bool nonblock;    // O_NONBLOCK as the program set it
    _Atomic int64_t rcv_timeout_ns; // SO_RCVTIMEO, SO_SNDTIMEO; 0: none
    _Atomic int64_t snd_timeout_ns;
    _Atomic int32_t rcv_lowat; // SO_RCVLOWAT
    int backlog;               // listener: as the program gave it
    bool inet6;                // listener: of AF_INET6
    int64_t pause_ns;          // listener: how long to wait after the next refusal
    _Atomic int64_t retry_ns;  // listener: the engine refused; do not ask again before this time
    uint64_t ino;              // identity of the kernel's socket behind it
    bool connecting;           // connect has not told the outcome yet
    bool inq;                  // TCP_INQ: recvmsg tells how much is left
    bool reuse;                // accepted: SO_REUSEADDR of its listener
    bool bare;                 // listener: the broker knows that this process accepts without an engine
    bool reports;              // listener: its connections report by MSG_ERRQUEUE, which only the kernel's do
    _Atomic bool urgent;       // the program looks for urgent data
    bool asked;                // it has asked for more without waiting while ACKs waited for what it sends
    bool deferred;             // TCP_FASTOPEN_CONNECT: the SYN waits for the first octets
    bool settled;              // has become a kernel socket
    int kept;                  // settled, with heirs: the kernel socket, for them to fetch; -1: none
    _Atomic uint64_t heirs;    // forks whose children may have it (heirs.c)
    struct file *heir_next;
    int owner, foreign;        // after a fork: the process that has the connection, and its handle there
    _Atomic(void *) set;       // FD_EPOLL: the set (epoll.c's)
    _Atomic(struct stage *) stage;     // what is written and not in the engine yet (stage.c)
    bool corked;               // the engine knows of TCP_CORK
    _Atomic uint32_t gate;     // FD_KCONN: calls in progress, and whether it is being moved (kconn.c)
    _Atomic bool pinned;       // FD_KCONN: must stay the kernel's
    bool unsure;               // FD_KCONN: a call that began unwatched may be under way (claim.c)
    _Atomic uint32_t next_free;
};

// FD_MAX: descriptors above are never ours.
#define FD_PAGE 1024
#define FD_TOP 1024
#define FD_MAX (FD_PAGE * FD_TOP)

typedef _Atomic uint64_t fd_entry;
extern _Atomic(fd_entry *) fd_top[FD_TOP];

static inline uint64_t fd_load(int fd)
{
    if ((unsigned)fd >= FD_MAX)
        return 0;
    fd_entry *page = atomic_load_explicit(&fd_top[fd / FD_PAGE], memory_order_acquire);
    return page ? atomic_load_explicit(&page[fd % FD_PAGE], memory_order_acquire) : 0;
}

#define ENTRY_HELD 0x80ull // somebody is changing what the descriptor is: whoever wants to change the entry waits

static inline enum fd_kind entry_kind(uint64_t e) { return (enum fd_kind)(e & 0x7f); }
static inline uint32_t entry_number(uint64_t e) { return (uint32_t)(e >> 32); }
static inline enum fd_kind fd_kind(int fd) { return entry_kind(fd_load(fd)); }

// file_get: the file of fd, referenced so that it stays while the call runs, or NULL: the kernel's. Not for FD_OWN.
struct file *file_get_slow(int fd);
static inline struct file *file_get(int fd) { return fd_load(fd) == 0 ? NULL : file_get_slow(fd); }
void file_hold(struct file *f);  // one more reference; the caller has one
void file_put(struct file *f);   // gives a reference back; at the last one the file is disposed of
bool file_is(struct file *f, int fd); // does fd (still) name f?

// file_new: a fresh file with one reference (the caller's) and no descriptor; NULL: too many.
struct file *file_new(enum fd_kind kind);
// fd_bind makes fd name f; what fd named before is dropped as by close. False: out of memory.
bool fd_bind(int fd, struct file *f);
// fd_hold keeps everybody else from changing what fd names (close, dup2 ... wait), and signal handlers away, until fd_unhold, fd_rebind or
// fd_alias_held. For a few system calls only. False: fd names nothing of ours. Two at once: in ascending order.
bool fd_hold(int fd);
void fd_unhold(int fd);
// fd_rebind makes fd, which is held, name f instead (NULL: the kernel's), and lets go of it.
void fd_rebind(int fd, struct file *f);
// fd_alias makes fd, just duplicated from old, name what old names. held: fd is held, and let go of. What it named before is to be given to
// fd_forget, when nothing is held any more.
uint64_t fd_alias(int old, int fd, bool held);
void fd_forget(uint64_t entry, int fd);
void fd_forked(void); // in a child: nobody holds anything
// fd_drop: fd names nothing of ours any more (it is being closed, or has become the kernel's). True if it did.
bool fd_drop(int fd);
// fd_each calls fn for each descriptor that names f (any file if f is NULL), lowest first.
void fd_each(struct file *f, void (*fn)(int fd, struct file *f, void *arg), void *arg);
// fd_next: the lowest number >= from that is not plainly the kernel's; -1: none.
int fd_next(int from);
// file_of_handle: the file of an engine handle, referenced, or NULL.
struct file *file_of_handle(int handle);
void file_set_handle(struct file *f, int handle);

// Our own descriptors: kept high, unseen by close, close_range and dup2.
// own_move takes fd over, moves it high and returns its new number (-1 with errno, fd closed). *keeper, if not NULL, holds the
// number from then on: should the program want that number for itself (dup2), ours moves away and *keeper changes.
int own_move(int fd, _Atomic int *keeper);
void own_add(int fd, _Atomic int *keeper); // as own_move, where it is
void own_close(_Atomic int *keeper);
void own_drop(int fd); // one without a keeper
bool own_evict(int fd); // the program is about to use the number fd: if it is ours, move ours away

// Called when descriptors of a file come and go (files keep what they need in step).
extern _Atomic uint32_t fd_files; // struct files in use: 0 means that nothing is ours in this process

#endif
