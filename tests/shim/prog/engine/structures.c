// Structures without memory: headers, vectors, names, lengths, values, sets; and what is written between TCP_CORK on and off.
#include "../prog.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>

static int l, port, peer, fd;
static char *bad[4];

static void give(const char *s)
{
    char b[16];
    must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "give");
    UNTIL(recv(fd, b, strlen(s), MSG_PEEK | MSG_DONTWAIT) == (ssize_t)strlen(s));
}

static void left(const char *name)
{
    char b[64] = "";
    show(name, "%zd %s", recv(fd, b, sizeof b - 1, MSG_DONTWAIT), b);
}

#define TRY(call) result(#call, (long)(call))

static void messages(void *at)
{
    char b[8] = "", c[64];
    struct iovec v = { b, 4 };
    struct msghdr m = { .msg_iov = at, .msg_iovlen = 2 }, own = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = at, .msg_controllen = 32 };
    struct mmsghdr mm = { .msg_hdr = m };
    give("hello");
    TRY(recvmsg(fd, at, MSG_DONTWAIT));
    TRY(recvmsg(fd, &m, MSG_DONTWAIT));
    TRY(recvmmsg(fd, at, 1, MSG_DONTWAIT, NULL));
    TRY(recvmmsg(fd, &mm, 1, MSG_DONTWAIT, NULL));
    TRY(readv(fd, at, 2));
    TRY(preadv2(fd, at, 2, -1, RWF_NOWAIT));
    left("nothing was taken");
    TRY(sendmsg(fd, at, 0));
    TRY(sendmsg(fd, &m, 0));
    TRY(sendmsg(fd, &own, 0));
    TRY(sendmmsg(fd, at, 1, 0));
    TRY(sendmmsg(fd, &mm, 1, 0));
    TRY(writev(fd, at, 2));
    TRY(pwritev2(fd, at, 2, -1, 0));
    TRY(sendto(fd, "x", 1, 0, at, 16));
    give("hello");
    own.msg_control = c, own.msg_controllen = sizeof c, own.msg_name = at, own.msg_namelen = 16;
    TRY(recvmsg(fd, &own, 0));
    socklen_t n = 16;
    TRY(recvfrom(fd, b, 1, 0, at, &n));
    left("rest");
    give("yz");
    TRY(recvfrom(fd, b, 1, 0, (void *)c, at));
    left("rest");
}

static void options(void *at)
{
    int v = 0;
    socklen_t n = sizeof v;
    TRY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, at, 4));
    TRY(setsockopt(fd, IPPROTO_TCP, TCP_CORK, at, 4));
    TRY(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, at, 4));
    TRY(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, at, 16));
    TRY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, (socklen_t)-1));
    TRY(getsockopt(fd, SOL_SOCKET, SO_ERROR, at, &n));
    TRY(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, at));
    TRY(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, at, &(socklen_t){ 16 }));
    TRY(getsockopt(fd, IPPROTO_TCP, TCP_INFO, at, &(socklen_t){ 100 }));
    TRY(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, &(socklen_t){ (socklen_t)-1 }));
    TRY(getsockname(fd, at, &(socklen_t){ 16 }));
    TRY(getsockname(fd, (void *)&v, at));
    TRY(getpeername(fd, at, &(socklen_t){ 16 }));
    TRY(ioctl(fd, FIONREAD, at));
    TRY(ioctl(fd, FIONBIO, at));
    TRY(ioctl(fd, SIOCATMARK, at));
    TRY(ioctl(l, FIONBIO, at));
    TRY(sendfile(fd, 0, at, 10));
}

static void waits(void *at)
{
    int ep = epoll_create1(0);
    TRY(epoll_ctl(ep, EPOLL_CTL_ADD, fd, at));
    TRY(poll(at, 1, 0));
    TRY(select(64, at, NULL, NULL, &(struct timeval){ 0, 0 }));
    close(ep);
}

static void accepts(void *at)
{
    int other = dial(port);
    TRY(accept(l, at, &(socklen_t){ 16 }));
    char c;
    result("the connection is lost", recv(other, &c, 1, 0));
    close(other);
}

static void corked(void *at)
{
    int on = 1, off = 0;
    char b[16] = "";
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    TRY(write(fd, "head", 4));
    TRY(write(fd, at, 5));
    TRY(writev(fd, at, 1));
    struct iovec v[] = { { "ab", 2 }, { at, 3 } };
    TRY(writev(fd, v, 2));
    TRY(write(fd, "tail", 4));
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    show("whole", "%zd %s", recv(peer, b, 8, MSG_WAITALL), b);
}

int main(void)
{
    char *page = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(mprotect(page + 4096, 4096, PROT_NONE) == 0, "mprotect");
    memset(page, 0, 4096);
    bad[0] = (char *)8, bad[1] = (char *)0x7000dead0000, bad[2] = page + 4096, bad[3] = (char *)-4096;
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    for (int i = 0; i < 4; i++) {
        show("round", "%d", i);
        close(fd), close(peer);
        fd = pair(l, port, &peer); // the last one ended in the kernel: sendfile from no file
        messages(bad[i]);
        options(bad[i]);
        waits(bad[i]);
        accepts(bad[i]);
        corked(bad[i]);
    }
    show("across", "%s", "the end of a page");
    struct msghdr *m = (void *)(page + 4096 - sizeof *m / 2);
    TRY(recvmsg(fd, m, MSG_DONTWAIT));
    TRY(sendmsg(fd, m, MSG_DONTWAIT));
    TRY(writev(fd, (void *)(page + 4096 - 16), 2));
    return 0;
}
