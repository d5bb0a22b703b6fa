// Threads that make random calls on the same connections, and fork: what is sent comes back, all of it. A number makes each sequence.
#include "../prog.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <spawn.h>

enum { CONNS = 3, THREADS = 4, CALLS = 30, SEEDS = 4 };

static struct count {
    _Atomic long sent, got, sent_sum, got_sum;
} *count; // the children count, too

static int fds[CONNS];

// want: a call whose result is not this, or that "not now", is what no program should see here.
static void want(int good, const char *call)
{
    if (good || errno == EAGAIN || errno == EINTR)
        return;
    show("failed", "%s %s", call, strerrorname_np(errno));
    _exit(3);
}

static void add(_Atomic long *octets, _Atomic long *sums, ssize_t n, long sum)
{
    *octets += n;
    *sums += sum;
}

static void send_some(int i, int fd, unsigned *r, int flags)
{
    unsigned char b[6000], v = (unsigned char)rand_r(r);
    size_t n = 1 + (size_t)rand_r(r) % (rand_r(r) % 4 ? 300 : sizeof b - 1);
    struct iovec two[2] = { { b, n / 2 }, { b + n / 2, n - n / 2 } };
    struct msghdr m = { .msg_iov = two, .msg_iovlen = 2 };
    memset(b, v, n);
    int how = rand_r(r) % 3;
    ssize_t done = how == 0 ? send(fd, b, n, flags | MSG_NOSIGNAL) : how == 1 ? sendmsg(fd, &m, flags | MSG_NOSIGNAL) : write(fd, b, n);
    want(done > 0, "send");
    if (done > 0)
        add(&count[i].sent, &count[i].sent_sum, done, done * v);
}

static void account(int i, const unsigned char *b, ssize_t n)
{
    long sum = 0;
    for (ssize_t k = 0; k < n; k++)
        sum += b[k];
    add(&count[i].got, &count[i].got_sum, n, sum);
}

static void receive_some(int i, int fd, unsigned *r, int flags)
{
    unsigned char b[5000];
    struct iovec v = { b, 1 + (size_t)rand_r(r) % sizeof b };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    ssize_t n = rand_r(r) % 2 ? recv(fd, b, v.iov_len, flags) : recvmsg(fd, &m, flags);
    want(n > 0, "recv");
    if (n > 0 && !(flags & MSG_PEEK))
        account(i, b, n);
}

static void wait_some(int i, unsigned *r)
{
    struct pollfd p[CONNS];
    for (int k = 0; k < CONNS; k++)
        p[k] = (struct pollfd){ .fd = fds[k], .events = POLLIN };
    struct epoll_event ev = { .events = EPOLLIN | (rand_r(r) % 2 ? EPOLLET : 0) };
    struct timeval t = { 0, 3000 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[i], &set);
    int e, how = rand_r(r) % 3;
    if (how == 0)
        want(poll(p, CONNS, 10) >= 0, "poll");
    if (how == 1)
        want(select(fds[i] + 1, &set, NULL, NULL, &t) >= 0, "select");
    if (how == 2) {
        want((e = epoll_create1(0)) >= 0, "epoll_create1");
        want(epoll_ctl(e, EPOLL_CTL_ADD, fds[i], &ev) == 0, "epoll_ctl");
        want(epoll_wait(e, &ev, 1, 5) >= 0, "epoll_wait");
        close(e);
    }
}

static void duplicate(int i, unsigned *r)
{
    int d = dup(fds[i]), left;
    want(d >= 0, "dup");
    rand_r(r) % 2 ? receive_some(i, d, r, MSG_DONTWAIT) : send_some(i, d, r, MSG_DONTWAIT);
    want(ioctl(d, FIONREAD, &left) == 0, "ioctl");
    want(close(d) == 0, "close");
}

static void calls(unsigned *r, int n, int child);

static void child(unsigned *r)
{
    int how = rand_r(r) % 3, status;
    unsigned its = (unsigned)rand_r(r);
    char *args[] = { "true", NULL };
    pid_t pid;
    if (how == 2)
        want((errno = posix_spawnp(&pid, "true", NULL, NULL, args, args + 1)) == 0, "spawn");
    else
        want((pid = fork()) >= 0, "fork");
    if (pid == 0) {
        calls(&its, 4, 1);
        how ? _exit(0) : exit(0);
    }
    UNTIL(waitpid(pid, &status, 0) == pid);
    if (status)
        show("failed", "child %x", status), _exit(3);
}

static void calls(unsigned *r, int n, int of_child)
{
    while (n-- > 0) {
        int i = rand_r(r) % CONNS, what = rand_r(r) % 12;
        if (what < 4)
            send_some(i, fds[i], r, what ? 0 : MSG_DONTWAIT);
        else if (what < 7)
            receive_some(i, fds[i], r, what == 4 ? MSG_DONTWAIT : what == 5 ? MSG_DONTWAIT | MSG_PEEK : 0);
        else if (what < 9)
            wait_some(i, r);
        else if (what < 11)
            duplicate(i, r);
        else if (!of_child)
            child(r);
    }
}

static void *thread(void *seed)
{
    unsigned r = (unsigned)(long)seed;
    calls(&r, CALLS, 0);
    return NULL;
}

// echo is the other end.
static void *echo(void *peer)
{
    char b[8192];
    int fd = (int)(long)peer;
    for (ssize_t n; (n = recv(fd, b, sizeof b, 0)) > 0;)
        for (ssize_t done = 0, k; done < n; done += k)
            if ((k = send(fd, b + done, (size_t)(n - done), MSG_NOSIGNAL)) <= 0)
                k = 0, must(0, "echo");
    close(fd);
    return NULL;
}

static void play(int l, int port, long seed)
{
    static const struct timeval some = { 0, 30000 }, none;
    pthread_t threads[THREADS], echoes[CONNS];
    unsigned char b[8192];
    memset(count, 0, CONNS * sizeof *count);
    for (int i = 0, peer; i < CONNS; i++) {
        fds[i] = pair(l, port, &peer);
        fcntl(peer, F_SETFD, FD_CLOEXEC);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &some, sizeof some);
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &some, sizeof some);
        must(pthread_create(&echoes[i], NULL, echo, (void *)(long)peer) == 0, "thread");
    }
    for (long k = 0; k < THREADS; k++)
        must(pthread_create(&threads[k], NULL, thread, (void *)(seed * 31 + k)) == 0, "thread");
    for (int k = 0; k < THREADS; k++)
        pthread_join(threads[k], NULL);
    for (int i = 0; i < CONNS; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        must(shutdown(fds[i], SHUT_WR) == 0, "shutdown");
        for (ssize_t n; (n = recv(fds[i], b, sizeof b, 0)) != 0;) {
            must(n > 0, "last recv");
            account(i, b, n);
        }
        show("back", "%d %d", count[i].sent == count[i].got, count[i].sent_sum == count[i].got_sum);
        close(fds[i]);
        pthread_join(echoes[i], NULL);
    }
}

int main(int argc, char **argv)
{
    int port, l = listener(AF_INET, &port);
    alarm(100);
    count = mmap(NULL, CONNS * sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(count != MAP_FAILED, "mmap");
    long first = argc > 1 ? atol(argv[1]) : 1;
    for (long seed = first; seed < first + SEEDS; seed++)
        play(l, port, seed);
    return 0;
}
