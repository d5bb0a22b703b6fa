// Epoll sets with members in the engine.
//
// The program's epoll descriptor is a real kernel set. Kernel descriptors are in it as ever; connections of the engine are items
// here. A listener is both: its item here and its entry in the kernel's set are one to the program; the kernel's entry carries a
// cookie in place of the program's data, so that its events can be told and merged.
//
//   set ──► conns      items of connections           handle h ──► items (of all sets)
//       ├─► listeners  items that the kernel has too
//       ├─► parked     disarmed one-shot items of connections that moved to the kernel: not in its set until re-armed
//       ├─► ready      first in, first out, as the kernel's rdllist: level-triggered items go to its end while they are ready
//       └─► threads    frames of threads that sleep in epoll_wait, the last to come first
//
// All under the ready lock.
#ifndef SLUICE_EPOLL_SET_H
#define SLUICE_EPOLL_SET_H

#include <stdio.h>
#include <sys/epoll.h>

#include "ready.h"
#include "wait_frame.h"

// The bits that stay when a one-shot item has fired.
#define EP_PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct ep_item {
    struct ep_set *set;
    struct file *file; // what fd named when it was added; to compare, not referenced
    int fd;
    int handle; // -1: not in the engine
    uint32_t events;
    uint32_t seen_in, seen_out; // the edges (cabi.h) up to which the item has fired
    uint64_t data;
    uint64_t ino;     // parked: the socket it is for
    uint32_t number;  // for the cookie
    bool listener;    // the kernel has it too
    bool is_ready;    // in the ready list
    bool quiet;       // on the move: what is ready the program was told of
    struct ep_item *next, **link;     // the list of the set it is in
    struct ep_item *hnext, **hlink;   // the handle's; hlink NULL: in none
    struct ep_item *rnext, *rprev;
    uint32_t round; // of the last epoll_wait that reported it, and where
    int slot;
};

struct ep_set {
    _Atomic int fd; // our own descriptor of the kernel's set; -1: none made yet
    int program_fd; // the program's when the set was made
    struct ep_item *conns, *listeners, *parked;
    struct ep_item *rhead, *rtail;
    _Atomic int nready;
    _Atomic int active; // members in the engine: 0: the kernel does it all
    _Atomic int detached; // listeners that are not in the engine (yet)
    struct frame *threads;
    _Atomic int plain; // threads in the kernel's epoll_wait on this set (or that left it by a jump)
    int kicks;         // how often the bell may be rung on for them
    _Atomic int bell;  // eventfd in the kernel's set, edge-triggered; -1: none yet
    bool foreign;      // in a forked child: conns are the parent's (epoll_move.c)
    _Atomic bool adding; // an entry whose first event is nobody's (epoll_edge.c)
    bool nested;       // somebody polls the set itself: ring the bell when an item gets ready
    bool holds_sets;   // others are in it
    _Atomic bool kernel_turn; // the kernel's members come first in the next epoll_wait
    uint32_t rounds;
    struct ep_set *next, *prev; // all sets; next is also the free list
};

// set_of: the set of epoll descriptor ep, with its file referenced in *f; NULL: not an epoll set. Lazily made for sets we did not
// see created.
struct ep_set *set_of(int ep, struct file **f);
// set_new binds a set to the fresh epoll descriptor ep. False: no memory: it stays a kernel set.
bool set_new(int ep);
// set_found is set_new for a set that the program did not make; all numbers of it are one set.
bool set_found(int ep);
void set_free(struct ep_set *set);
int set_fd(struct ep_set *set); // a descriptor of the kernel's set that stays

struct ep_item *item_find(struct ep_set *set, int fd, struct file *f);
struct ep_item *item_new(struct ep_set *set, int fd, struct file *f, const struct epoll_event *ev);
void item_link(struct ep_item **list, struct ep_item *it);
void item_attach(struct ep_item *it, int handle); // joins the handle's list; -1: none
void item_free(struct ep_item *it);               // leaves every list
struct ep_item *item_at(uint32_t number);
void item_ready(struct ep_item *it);   // to the end of the ready list, waking a thread
void item_unready(struct ep_item *it); // out of the ready list
// item_look makes the item ready if its handle is now: after it was added or changed.
void item_look(const struct sl_shared *s, struct ep_item *it);

// items_changed: handle h, which has items, was listed by the engine.
void items_changed(struct sl_shared *s, struct ep_item *items, int h);

void set_wake_one(struct ep_set *set);
void set_thread_joins(struct ep_set *set, struct frame *f);
void set_thread_leaves(struct ep_set *set, struct frame *f);

// The data of what we put into kernel sets ourselves.
uint64_t item_cookie(const struct ep_item *it);
uint64_t bell_cookie(void);
// set_translate replaces cookies in n events from the kernel by the program's data and drops what is not for the program; what it reports is
// marked with round. Returns how many are left.
int set_translate(struct ep_set *set, struct epoll_event *ev, int n, uint32_t round);
// event_fits: an event can be written there.
bool event_fits(struct epoll_event *ev);
// set_collect moves ready items into ev, up to max events behind the first n or as many as can be written, merging with what round reported there already.
int set_collect(const struct sl_shared *s, struct ep_set *set, struct epoll_event *ev, int n, int max, uint32_t round);

void set_ring(struct ep_set *set);     // rings the bell
bool set_bell(struct ep_set *set);     // makes it
void set_activate(struct ep_set *set, int by);

// epoll_info opens the kernel set's own account of its members; NULL: there is none to be had (a chroot without /proc).
FILE *epoll_info(struct ep_set *set);

// epoll_edge.c: an entry that changes sides is no news by itself.
void items_leave(const struct sl_shared *s, struct ep_item *items, int h); // h, which has items, has just moved to the kernel
int entry_add(struct ep_set *set, int fd, struct epoll_event *ev, bool quiet); // as EPOLL_CTL_ADD
bool entry_told(struct ep_set *set, int fd, uint32_t events);                 // the kernel has told of all that is ready
void item_join(const struct sl_shared *s, struct ep_item *it);                // looks, after a move to the engine

// item_parked: the parked item of fd, if fd still is that socket.
struct ep_item *item_parked(struct ep_set *set, int fd);
// epoll_joined: listener f got a handle: its items join. epoll_saw: was fd ever put into a kernel set?
void epoll_joined(int fd, struct file *f);
bool epoll_saw(int fd);
void epoll_note(int fd); // it was
uint64_t epoll_inode(int fd);
// A connection on its way from the kernel: for each descriptor, held, its entries leave the kernel's sets and become c's; then either they join
// c's handle, or return. False: one may have stayed: the connection must, too, or its set would tell of the end of the socket that it leaves behind.
bool epoll_conn_leaves(int fd, struct file *c);
void epoll_conn_joins(struct file *c);
void epoll_conn_returns(struct file *c);

extern struct ep_set *all_sets;
void epoll_forked(void);
// epoll_adopt: the child waits on a set with connections of its parent's engine: they become the kernel's, in the set that both share.
void epoll_adopt(struct ep_set *set);

#endif
