// What a process leaves to its forked children when it ends before them: the connections that they have in common, which became the
// kernel's as the engine stopped. They wait in the pair of sockets that heirs.c made at the fork.
#include "legacy.h"

#include <errno.h>
#include <string.h>

#include "fdmap.h"
#include "raw.h"
#include "real.h"

#define BATCH 64 // descriptors in one message

// One message: the numbers that the connections had in the engine, and as many descriptors.
struct parcel {
    int n, handles[BATCH];
    union { struct cmsghdr h; char b[CMSG_SPACE(BATCH * sizeof(int))]; } control;
};

static struct parcel out; // by the one thread that ends the process
static int out_to = -1;

static void send_off(void)
{
    struct iovec v = { out.handles, (size_t)out.n * sizeof out.handles[0] };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &out.control, .msg_controllen = CMSG_SPACE((size_t)out.n * sizeof(int)) };
    out.control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN((size_t)out.n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    if (out.n > 0)
        RAW(SYS_sendmsg, out_to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    out.n = 0;
}

void legacy_give(int to, int handle, int kernel)
{
    if (out.n == BATCH || to != out_to)
        send_off();
    out_to = to;
    memcpy(CMSG_DATA(&out.control.h) + (size_t)out.n * sizeof(int), &kernel, sizeof kernel);
    out.handles[out.n++] = handle;
}

void legacy_done(void) { send_off(); }

// What came for other connections than the one that was asked for; it stays for them.
static struct {
    int handle;
    int fd; // one of ours
} kept[1024];
static int nkept;

static void keep(int handle, int fd)
{
    if (nkept < (int)(sizeof kept / sizeof kept[0]) && (fd = own_move(fd, NULL)) >= 0)
        kept[nkept].handle = handle, kept[nkept++].fd = fd;
}

// open_next unpacks one message. False: there is none.
static bool open_next(int from)
{
    struct parcel in;
    struct iovec v = { in.handles, sizeof in.handles };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &in.control, .msg_controllen = sizeof in.control };
    long n = RAW(SYS_recvmsg, from, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    for (size_t i = 0; h && h->cmsg_type == SCM_RIGHTS && i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
        keep(in.handles[i], fd);
    }
    return n > 0;
}

int legacy_take(int from, int handle)
{
    while (open_next(from))
        ;
    for (int i = 0; i < nkept; i++)
        if (kept[i].handle == handle) {
            int fd = (int)RAW(SYS_fcntl, kept[i].fd, F_DUPFD_CLOEXEC, 0);
            own_drop(kept[i].fd);
            kept[i] = kept[--nkept];
            return fd;
        }
    return -1;
}
