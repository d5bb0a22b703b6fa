// Calls that move data between memory and a socket, and the other end's.
#include "differ.h"
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <netinet/in.h>

static _Thread_local unsigned char room[ROOM];

static unsigned char *memory(void) { return room; }

// clean is memory to receive into: MSG_TRUNC tells of octets and leaves what is there.
static unsigned char *clean(void) { return memset(room, 0, sizeof room); }

static void *filled(long kind)
{
    unsigned char *b = memory();
    for (int i = 0; i < 8192; i++)
        b[i] = (unsigned char)(i * 31 + 7);
    return at(kind, b);
}

// pieces cuts n octets at b into count parts: unequal, the first may be empty.
static void pieces(struct iovec *v, long count, void *b, long n)
{
    for (long i = 0; i < count; i++) {
        long part = i == count - 1 ? n : n / (count + 1 - i) / 2;
        v[i] = (struct iovec){ b, (size_t)part };
        b = (char *)b + part, n -= part;
    }
}

static void gave(long r)
{
    bound_end();
    say_result(r);
}

static void got(long r, long kind)
{
    gave(r);
    if (r > 0 && kind == 0)
        say_bytes(memory(), r < ROOM ? r : 0);
}

static void do_send(const long *a) { void *b = filled(a[3]); bound_begin(); gave(send(fd_of(a[0]), b, (size_t)a[1], (int)a[2])); }
static void do_write(const long *a) { void *b = filled(a[2]); bound_begin(); gave(write(fd_of(a[0]), b, (size_t)a[1])); }
static void do_recv(const long *a) { bound_begin(); got(recv(fd_of(a[0]), at(a[3], clean()), (size_t)a[1], (int)a[2]), a[3]); }
static void do_read(const long *a) { bound_begin(); got(read(fd_of(a[0]), at(a[2], clean()), (size_t)a[1]), a[2]); }

static void do_sendto(const long *a)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0x7f000001) };
    void *b = filled(0);
    bound_begin();
    gave(sendto(fd_of(a[0]), b, (size_t)a[1], (int)a[2], at(a[3], &in), (socklen_t)a[4]));
}

static void do_recvfrom(const long *a)
{
    struct sockaddr_storage s;
    socklen_t n = (socklen_t)a[4];
    bound_begin();
    got(recvfrom(fd_of(a[0]), clean(), (size_t)a[1], (int)a[2], at(a[3], &s), &n), 0);
    say(" addrlen %d", (int)n);
}

static void do_writev(const long *a)
{
    struct iovec v[1100];
    pieces(v, a[1] > 0 ? a[1] : 0, filled(0), a[2]);
    bound_begin();
    gave(writev(fd_of(a[0]), at(a[3], v), (int)a[1]));
}

static void do_readv(const long *a)
{
    struct iovec v[1100];
    pieces(v, a[1] > 0 ? a[1] : 0, clean(), a[2]);
    bound_begin();
    got(readv(fd_of(a[0]), at(a[3], v), (int)a[1]), 0);
}

static void do_sendmsg(const long *a)
{
    struct iovec v[1100];
    pieces(v, a[1] > 0 ? a[1] : 0, filled(0), a[2]);
    struct msghdr m = { .msg_iov = at(a[4], v), .msg_iovlen = (size_t)a[1] };
    bound_begin();
    gave(sendmsg(fd_of(a[0]), at(a[5], &m), (int)a[3]));
}

static void do_recvmsg(const long *a)
{
    struct iovec v[1100];
    struct sockaddr_storage s;
    char control[256];
    pieces(v, a[1] > 0 ? a[1] : 0, clean(), a[2]);
    struct msghdr m = { .msg_name = &s, .msg_namelen = sizeof s, .msg_iov = v, .msg_iovlen = (size_t)a[1], .msg_control = control, .msg_controllen = (size_t)a[4], .msg_flags = 0x1234 };
    bound_begin();
    got(recvmsg(fd_of(a[0]), at(a[5], &m), (int)a[3]), 0);
    say(" flags %x name %d control %d", m.msg_flags, (int)m.msg_namelen, (int)m.msg_controllen);
}

static void do_sendmmsg(const long *a)
{
    struct iovec v[8];
    struct mmsghdr m[8] = { 0 };
    void *b = filled(0);
    for (long i = 0; i < 8; i++)
        v[i] = (struct iovec){ b, (size_t)a[2] }, m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
    bound_begin();
    gave(sendmmsg(fd_of(a[0]), at(a[4], m), (unsigned)a[1], (int)a[3]));
    for (long i = 0; i < a[1] && i < 8; i++)
        say(" %u", m[i].msg_len);
}

static void do_recvmmsg(const long *a)
{
    struct iovec v[8];
    struct mmsghdr m[8] = { 0 };
    struct timespec none = { 0, 1000000 };
    unsigned char *b = clean();
    for (long i = 0; i < 8; i++)
        v[i] = (struct iovec){ b + i * 4096, (size_t)a[2] }, m[i].msg_hdr.msg_iov = &v[i], m[i].msg_hdr.msg_iovlen = 1;
    bound_begin();
    int r = recvmmsg(fd_of(a[0]), at(a[5], m), (unsigned)a[1], (int)a[3], a[4] ? &none : NULL);
    gave(r);
    for (int i = 0; i < r && i < 8; i++)
        say(" %u flags %x", m[i].msg_len, m[i].msg_hdr.msg_flags), say_bytes(memory() + i * 4096, m[i].msg_len);
}

static void do_pwritev2(const long *a)
{
    struct iovec v = { filled(0), (size_t)a[1] };
    bound_begin();
    gave(pwritev2(fd_of(a[0]), &v, 1, a[2], (int)a[3]));
}

static void do_preadv2(const long *a)
{
    struct iovec v = { clean(), (size_t)a[1] };
    bound_begin();
    got(preadv2(fd_of(a[0]), &v, 1, a[2], (int)a[3]), 0);
}

static void do_pread(const long *a) { got(pread(fd_of(a[0]), clean(), (size_t)a[1], a[2]), 0); }
static void do_lseek(const long *a) { gave(lseek(fd_of(a[0]), a[1], (int)a[2])); }

// The other end's calls.
static void told(struct answer r)
{
    say_result(r.r);
    if (r.r >= 0 && r.err)
        say(" then %s", strerrorname_np(r.err));
    if (r.sum)
        say(" sum %08x", r.sum);
}

static void peer_give(const long *a) { told(peer(P_GIVE, (int)a[0], a[1])); }
static void peer_oob(const long *a) { told(peer(P_OOB, (int)a[0], a[1])); }
static void peer_take(const long *a) { told(peer(P_TAKE, (int)a[0], a[1])); }
static void peer_end(const long *a) { told(peer(P_END, (int)a[0], 0)); }
static void peer_shutdown(const long *a) { told(peer(P_SHUT, (int)a[0], 0)); }
static void peer_close(const long *a) { told(peer(P_CLOSE, (int)a[0], 0)); }
static void peer_reset(const long *a) { told(peer(P_RST, (int)a[0], 0)); }

const struct op data_ops[] = {
    { "send", do_send }, { "write", do_write }, { "recv", do_recv }, { "read", do_read }, { "sendto", do_sendto },
    { "recvfrom", do_recvfrom }, { "writev", do_writev }, { "readv", do_readv }, { "sendmsg", do_sendmsg }, { "recvmsg", do_recvmsg },
    { "sendmmsg", do_sendmmsg }, { "recvmmsg", do_recvmmsg }, { "pwritev2", do_pwritev2 }, { "preadv2", do_preadv2 },
    { "pread", do_pread }, { "lseek", do_lseek }, { "peer_give", peer_give }, { "peer_oob", peer_oob }, { "peer_take", peer_take },
    { "peer_end", peer_end }, { "peer_shutdown", peer_shutdown }, { "peer_close", peer_close }, { "peer_reset", peer_reset }, { NULL, NULL },
};
