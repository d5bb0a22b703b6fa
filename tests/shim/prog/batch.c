// Answers within a batch of events: they arrive whole and in order, once, whatever else happens to their connections before the next wait.
#include <sys/epoll.h>
#include <sys/sendfile.h>

#include "prog.h"

#define N 40
static int fds[N], peers[N], ep, page;

// batch has the peers of the first n connections ask, and waits until one epoll_wait tells of all of them; their requests are taken.
static void batch(int n)
{
    struct epoll_event ev[N];
    char b[8];
    for (int i = 0; i < n; i++)
        must(write(peers[i], "ask", 3) == 3, "ask");
    for (int i = 0; i < n; i++)
        must(poll(&(struct pollfd){ .fd = fds[i], .events = POLLIN }, 1, 15000) == 1, "poll");
    int r = epoll_wait(ep, ev, N, 15000);
    if (r != n) { show("events", "%d of %d", r, n); for (int i = 0; i < r; i++) show("ev", "%d %x", ev[i].data.fd, ev[i].events); }
    for (int i = 0; i < n; i++)
        must(read(fds[i], b, sizeof b) == 3, "request");
}

static void put(int i, const char *s) { must(write(fds[i], s, strlen(s)) == (ssize_t)strlen(s), "put"); }
static void cork(int i, int on) { must(setsockopt(fds[i], IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0, "cork"); }

static void take(const char *name, int i, size_t n)
{
    static char b[400000];
    unsigned sum = 0;
    ssize_t r = recv(peers[i], b, n, MSG_WAITALL);
    for (ssize_t k = 0; k < r; k++)
        sum = sum * 31 + (unsigned char)b[k];
    show(name, "%zd octets, sum %u, begins %.12s", r, sum, r > 0 ? b : "");
}

static void wait_once(void) // which ends the batch
{
    struct epoll_event ev[N];
    must(epoll_wait(ep, ev, N, 0) >= 0, "epoll_wait");
}

static void plainly(void)
{
    char each[N][16];
    batch(N);
    for (int i = 0; i < N; i++)
        sprintf(each[i], "answer %02d", i), put(i, each[i]);
    wait_once();
    for (int i = 0; i < N; i += 13)
        take("one of many", i, 9);
    for (int i = 0; i < N; i++)
        if (i % 13)
            must(recv(peers[i], each[i], 9, MSG_WAITALL) == 9 && atoi(each[i] + 7) == i, "answer");
}

static void ways(void)
{
    struct iovec v[2] = { { "vector ", 7 }, { "of two", 6 } };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
    off_t at = 0;
    static char large[300000];
    memset(large, 'x', sizeof large);
    batch(8);
    put(0, "twice "), put(0, "written");
    must(writev(fds[1], v, 2) == 13 && sendmsg(fds[2], &m, MSG_NOSIGNAL) == 13, "vectors");
    put(3, "head "), must(sendfile(fds[3], page, &at, 600) == 600, "sendfile");
    cork(4, 1), put(4, "corked "), put(4, "and so on"), cork(4, 0), put(4, " and free");
    must(send(fds[5], "more ", 5, MSG_MORE) == 5, "more"), put(5, "of it");
    put(6, "small "), must(write(fds[6], large, 9000) == 9000, "large"), put(6, "small");
    put(7, "before "), cork(7, 1), put(7, "under"), cork(7, 0);
    wait_once();
    take("written twice", 0, 13), take("a vector", 1, 13), take("a message", 2, 13), take("a file", 3, 605);
    take("corked", 4, 25), take("more", 5, 10), take("small and large", 6, 9011), take("before a cork", 7, 12);
}

static void *writes(void *s)
{
    put(4, s);
    return NULL;
}

static void meanwhile(void)
{
    int left = -1;
    char b[16];
    pthread_t t;
    batch(6);
    put(0, "asked");
    UNTIL(ioctl(fds[0], TIOCOUTQ, &left) == 0 && left == 0); // SIOCOUTQ: it was sent, and acknowledged
    take("asked how much waits", 0, 5);
    int other = dup(fds[1]);
    put(1, "one "), must(write(other, "two ", 4) == 4, "dup"), put(1, "three"), close(other);
    put(2, "read by ");
    result("read between", recv(fds[2], b, sizeof b, MSG_DONTWAIT));
    put(2, "itself");
    put(3, "let go");
    struct epoll_event e = { .events = EPOLLIN, .data.fd = 3 };
    must(epoll_ctl(ep, EPOLL_CTL_DEL, fds[3], &e) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fds[3], &e) == 0, "epoll_ctl");
    put(4, "main ");
    must(pthread_create(&t, NULL, writes, "thread ") == 0 && pthread_join(t, NULL) == 0, "thread");
    put(4, "main");
    put(5, "then a fork");
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    must(waitpid(child, NULL, 0) == child, "waitpid");
    wait_once();
    take("a duplicate", 1, 13), take("read between", 2, 14), take("let go", 3, 6), take("by two threads", 4, 16), take("before a fork", 5, 11);
}

static void *answers(void *arg)
{
    char b[8];
    must(recv(peers[0], b, 5, MSG_WAITALL) == 5 && write(peers[0], "reply", 5) == 5, "reply");
    return arg;
}

static void waits(void)
{
    char b[8];
    pthread_t t;
    must(pthread_create(&t, NULL, answers, NULL) == 0, "thread");
    batch(3);
    put(0, "query"), put(1, "beside");
    result("a blocking read", recv(fds[0], b, 5, MSG_WAITALL));
    take("left with it", 1, 6);
    pthread_join(t, NULL);
    batch(2);
    put(0, "computes"), put(1, "too");
    take("while nothing is called", 0, 8), take("by either", 1, 3); // the kernel's calls: nothing tells the batch's end but time
    wait_once();
}

static void ends(void)
{
    batch(4);
    put(0, "then shut"), must(shutdown(fds[0], SHUT_WR) == 0, "shutdown");
    put(1, "then closed"), close(fds[1]);
    put(2, "then replaced"), must(dup2(fds[3], fds[2]) == fds[2], "dup2");
    put(3, "at the end");
    take("shut", 0, 100), take("closed", 1, 100), take("replaced", 2, 100);
}

int main(void)
{
    int port, l = listener(AF_INET, &port);
    char name[] = "/tmp/slt-batch-XXXXXX";
    page = mkstemp(name);
    must(page >= 0 && unlink(name) == 0 && ftruncate(page, 600) == 0, "page");
    ep = epoll_create1(0);
    for (int i = 0; i < N; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.fd = i };
        fds[i] = pair(l, port, &peers[i]);
        must(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e) == 0, "add");
    }
    plainly();
    ways();
    meanwhile();
    waits();
    ends();
    take("last", 3, 10);
    return 0;
}
