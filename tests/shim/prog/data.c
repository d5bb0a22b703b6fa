// Reading and writing in every form.
#include "prog.h"

static int l, port, peer, fd;

static void arrived(int n)
{
    int have = 0;
    UNTIL(ioctl(fd, FIONREAD, &have) == 0 && have >= n);
}

static void give(const char *s)
{
    must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "give");
    arrived((int)strlen(s));
}

static void take(const char *name, int n)
{
    char b[256] = "";
    ssize_t r = recv(peer, b, (size_t)n, MSG_WAITALL);
    show(name, "%zd %s", r, b);
}

static void reads(void)
{
    char a[16] = "", b[16] = "";
    give("hello world");
    result("peek", recv(fd, a, 5, MSG_PEEK));
    show("peeked", "%s", a);
    struct iovec v[2] = { { a, 3 }, { b, 4 } };
    memset(a, 0, sizeof a);
    result("readv", readv(fd, v, 2));
    show("readv got", "%s|%s", a, b);
    result("trunc", recv(fd, NULL, 2, MSG_TRUNC));
    memset(a, 0, sizeof a);
    result("read", read(fd, a, sizeof a));
    show("read got", "%s", a);
    result("dontwait", recv(fd, a, 5, MSG_DONTWAIT));
    result("read 0", read(fd, a, 0));
    result("recv 0 dontwait", recv(fd, a, 0, MSG_DONTWAIT));
    result("errqueue", recv(fd, a, 5, MSG_ERRQUEUE));
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    give("x");
    result("recvfrom", recvfrom(fd, a, 5, 0, (void *)&sa, &n));
    show("from length", "%d", (int)n);
}

static void messages(void)
{
    char a[16] = "", b[16] = "", c[64], name[64];
    struct iovec v[2] = { { a, 4 }, { b, 4 } };
    struct msghdr m = { .msg_name = name, .msg_namelen = sizeof name, .msg_iov = v, .msg_iovlen = 2, .msg_control = c, .msg_controllen = sizeof c, .msg_flags = 77 };
    give("abcdefgh");
    result("recvmsg", recvmsg(fd, &m, 0));
    show("recvmsg got", "%s|%s name %d control %zu flags %d", a, b, (int)m.msg_namelen, m.msg_controllen, m.msg_flags);
    struct mmsghdr mm[2] = { { .msg_hdr = { .msg_iov = &v[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &v[1], .msg_iovlen = 1 } } };
    give("12345678");
    result("recvmmsg", recvmmsg(fd, mm, 2, 0, NULL));
    show("lengths", "%u %u", mm[0].msg_len, mm[1].msg_len);
    give("12");
    result("recvmmsg one", recvmmsg(fd, mm, 2, MSG_WAITFORONE, NULL));
    strcpy(a, "ping"), strcpy(b, "pong");
    result("sendmmsg", sendmmsg(fd, mm, 2, 0));
    take("peer", 8);
    struct msghdr out = { .msg_iov = v, .msg_iovlen = 2 };
    result("sendmsg", sendmsg(fd, &out, MSG_NOSIGNAL));
    take("peer", 8);
    result("recvmsg too many", (m.msg_iovlen = 5000, recvmsg(fd, &m, 0)));
    result("readv too many", readv(fd, v, 5000));
    result("preadv2", preadv2(fd, v, 1, -1, RWF_NOWAIT));
    result("preadv2 at 0", preadv2(fd, v, 1, 0, 0));
    result("pwritev2", pwritev2(fd, v, 1, -1, 0));
    take("peer", 4);
    result("pread", pread(fd, a, 1, 0));
    result("pwrite", pwrite(fd, a, 1, 0));
    result("lseek", lseek(fd, 0, SEEK_CUR));
}

static void *later(void *arg)
{
    for (const char *s = arg; *s; s++) {
        nap(20);
        must(write(peer, s, 1) == 1, "later");
    }
    return NULL;
}

static void waits(void)
{
    char a[16] = "";
    pthread_t t;
    pthread_create(&t, NULL, later, "abc");
    result("waitall", recv(fd, a, 3, MSG_WAITALL));
    show("waitall got", "%s", a);
    pthread_join(t, NULL);
    memset(a, 0, sizeof a);
    pthread_create(&t, NULL, later, "abc");
    result("peek waitall", recv(fd, a, 3, MSG_WAITALL | MSG_PEEK));
    show("peek waitall got", "%s", a);
    pthread_join(t, NULL);
    result("drain", read(fd, a, 16));
    int low = 2;
    result("lowat", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    memset(a, 0, sizeof a);
    pthread_create(&t, NULL, later, "xy");
    result("lowat read", read(fd, a, 16));
    show("lowat got", "%s", a);
    pthread_join(t, NULL);
    low = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    struct timeval tv = { 0, 30000 };
    result("timeout", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    result("timed out", read(fd, a, 16));
    tv.tv_usec = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
}

static volatile int pipes;
static void on_pipe(int sig) { pipes += sig == SIGPIPE; }

static char out[300000], in[sizeof out];

static void *reader(void *arg)
{
    size_t got = 0;
    while (got < sizeof in) {
        ssize_t r = read(peer, in + got, sizeof in - got);
        must(r > 0, "bulk read");
        got += (size_t)r;
    }
    return arg;
}

static void bulk(void)
{
    pthread_t t;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 7);
    pthread_create(&t, NULL, reader, NULL);
    result("bulk write", write(fd, out, sizeof out));
    pthread_join(t, NULL);
    show("bulk", "%s", memcmp(in, out, sizeof in) == 0 ? "equal" : "differs");
}

static void ends(void)
{
    char a[16];
    struct linger hard = { 1, 0 };
    signal(SIGPIPE, on_pipe);
    give("rest");
    shutdown(peer, SHUT_WR);
    result("rest", recv(fd, a, 16, MSG_WAITALL));
    result("end", read(fd, a, 16));
    result("end again", recv(fd, a, 16, MSG_DONTWAIT));
    result("shutdown", shutdown(fd, SHUT_WR));
    result("write after", write(fd, a, 1));
    show("sigpipe", "%d", pipes);
    result("send nosignal", send(fd, a, 1, MSG_NOSIGNAL));
    show("sigpipe", "%d", pipes);
    result("close", close(fd));
    result("close again", close(fd));
    close(peer);
    fd = pair(l, port, &peer);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(peer);
    struct pollfd p = { .fd = fd, .events = 0 };
    UNTIL(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
    result("reset read", read(fd, a, 16));
    result("reset read again", read(fd, a, 16));
    result("reset write", send(fd, a, 1, MSG_NOSIGNAL));
    close(fd);
}

int main(void)
{
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    reads();
    messages();
    waits();
    bulk();
    ends();
    return 0;
}
