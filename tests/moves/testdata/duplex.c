// A server of full-duplex streams in every style of I/O: the first 8 octets that come name the style. Each connection sends the stream of its number and
// checks that it gets the peer's, until the peer's ends; then it ends its own and prints both lengths.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct conn {
    int fd, number;
    uint64_t sent, got;
    _Atomic int over; // the peer's stream has ended
};

static void die(const char *what)
{
    printf("failed: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(3);
}

// stream fills b with n octets of a stream from offset at on: words that depend on their place.
static void stream(unsigned char *b, size_t n, uint64_t at, uint64_t seed)
{
    for (size_t i = 0; i < n; i++, at++) {
        uint64_t w = (at / 8 + 1) * 0x9e3779b97f4a7c15ull + seed * 0xbf58476d1ce4e5b9ull;
        b[i] = (unsigned char)(w >> 8 * (at % 8));
    }
}

#define CHUNK 8192

static long pause_us; // after each write

// take checks what came. False: the stream is over.
static int take(struct conn *c, const unsigned char *b, ssize_t n)
{
    unsigned char want[CHUNK];
    if (n == 0)
        return 0;
    stream(want, (size_t)n, c->got, 1000 + (uint64_t)c->number);
    if (memcmp(b, want, (size_t)n) != 0) {
        printf("failed: connection %d differs within %zd octets at %llu\n", c->number, n, (unsigned long long)c->got);
        fflush(stdout);
        _exit(3);
    }
    c->got += (uint64_t)n;
    return 1;
}

// read_some and write_some: 1: some, 0: the end, -1: would block.
static int read_some(struct conn *c)
{
    unsigned char b[CHUNK];
    ssize_t n = read(c->fd, b, sizeof b);
    if (n < 0 && errno == EAGAIN)
        return -1;
    if (n < 0)
        die("read");
    return take(c, b, n);
}

static int write_some(struct conn *c)
{
    unsigned char b[CHUNK];
    stream(b, sizeof b, c->sent, (uint64_t)c->number);
    ssize_t n = write(c->fd, b, 1 + c->sent % sizeof b);
    if (n < 0 && errno == EAGAIN)
        return -1;
    if (n < 0)
        die("write");
    c->sent += (uint64_t)n;
    struct timespec t = { 0, pause_us * 1000 };
    if (pause_us)
        nanosleep(&t, NULL);
    return 1;
}

static void finish(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
    printf("over %d sent %llu got %llu\n", c->number, (unsigned long long)c->sent, (unsigned long long)c->got);
    fflush(stdout);
    close(c->fd);
}

static void *writer(void *arg)
{
    struct conn *c = arg;
    while (!c->over)
        write_some(c);
    return NULL;
}

// Blocking calls in two threads.
static void by_threads(struct conn *c)
{
    pthread_t t;
    pthread_create(&t, NULL, writer, c);
    while (read_some(c) > 0)
        ;
    c->over = 1;
    pthread_join(t, NULL);
}

static void by_poll(struct conn *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN | POLLOUT };
    for (;;) {
        if (poll(&p, 1, -1) < 0)
            die("poll");
        if (p.revents & POLLIN && read_some(c) == 0)
            return;
        if (p.revents & POLLOUT)
            write_some(c);
    }
}

// ended says what epoll told of a connection that nobody ended.
static void ended(struct conn *c, uint32_t how, uint32_t events)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    struct tcp_info info = { 0 };
    int err = -1;
    socklen_t n = sizeof info, four = sizeof err;
    poll(&p, 1, 0);
    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &four);
    printf("failed: epoll (%x) said %x; then poll %x, error %d, state %d\n", how, events, p.revents, err, info.tcpi_state);
    fflush(stdout);
    _exit(3);
}

static void by_epoll(struct conn *c, uint32_t how)
{
    int ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | how, .data.u32 = 77 };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("epoll_ctl");
    for (;;) {
        struct epoll_event got;
        int n = epoll_wait(ep, &got, 1, -1), r = 1;
        if (n != 1 || got.data.u32 != 77)
            die("epoll_wait");
        if (got.events & (EPOLLERR | EPOLLHUP))
            ended(c, how, got.events);
        if (how & EPOLLET) {
            for (int more = 1; more && r != 0;) { // until both would block
                more = write_some(c) > 0;
                for (int i = 0; i < 8 && (r = read_some(c)) > 0; i++)
                    more = 1;
            }
        } else {
            if (got.events & EPOLLIN)
                r = read_some(c);
            if (got.events & EPOLLOUT)
                write_some(c);
        }
        if (how & EPOLLONESHOT && (got.events = EPOLLIN | EPOLLOUT | how, epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &got)) != 0)
            die("re-arm");
        if (r == 0)
            break;
    }
    close(ep);
}

// Two threads write records of 64 octets: "RECORD", thread, number; few, so that the send buffer is never full and no write is divided.
struct records {
    struct conn *c;
    char who;
};

static _Atomic uint64_t written[2];

static void *records(void *arg)
{
    struct records *r = arg;
    struct timespec t = { 0, 200000 };
    for (uint64_t n = 0; !r->c->over; n++) {
        char b[65];
        snprintf(b, sizeof b, "RECORD %c %054llu", r->who, (unsigned long long)n);
        b[63] = '\n';
        if (write(r->c->fd, b, 64) != 64)
            die("write a record");
        written[r->who - 'a']++;
        nanosleep(&t, NULL);
    }
    return NULL;
}

static void by_two_writers(struct conn *c)
{
    pthread_t t[2];
    struct records r[2] = { { c, 'a' }, { c, 'b' } };
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, records, &r[i]);
    while (read_some(c) > 0)
        ;
    c->over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    c->sent = 64 * (written[0] + written[1]);
}

// Says nothing, and echoes what little comes.
static void by_silence(struct conn *c)
{
    char b[64];
    for (ssize_t n; (n = recv(c->fd, b, sizeof b, 0)) > 0; c->got += (uint64_t)n, c->sent += (uint64_t)n)
        if (send(c->fd, b, (size_t)n, 0) != n)
            die("echo");
}

// Echoes by epoll. When a 'c' comes the descriptor that is in the set is closed; a duplicate keeps the connection open, and nothing has ended.
static void by_duplicate(struct conn *c)
{
    int ep = epoll_create1(0), two = dup(c->fd);
    struct epoll_event ev = { .events = EPOLLIN };
    char b[64];
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("epoll_ctl");
    for (ssize_t n; epoll_wait(ep, &ev, 1, -1) == 1; c->got += (uint64_t)n, c->sent += (uint64_t)n) {
        if (ev.events & (EPOLLERR | EPOLLHUP))
            ended(c, 0, ev.events);
        if ((n = recv(two, b, sizeof b, 0)) <= 0)
            break;
        if (b[0] == 'c' && c->fd != two) {
            close(c->fd);
            c->fd = two;
        }
        if (send(two, b, (size_t)n, 0) != n)
            die("echo");
    }
    close(ep);
}

static int handled;

static void look(int sig)
{
    char b;
    int saved = errno;
    (void)sig;
    recv(handled, &b, 1, MSG_PEEK | MSG_DONTWAIT);
    errno = saved;
}

// Echoes what little comes, while a handler looks at the connection, too, 10,000 times a second.
static void by_handler(struct conn *c)
{
    struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    sigset_t alarm;
    char b[64];
    handled = c->fd;
    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = look, .sa_flags = SA_RESTART }, NULL);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (ssize_t n = -1; n != 0; poll(&p, 1, 0))
        if ((n = recv(c->fd, b, sizeof b, MSG_DONTWAIT)) > 0) {
            c->got += (uint64_t)n, c->sent += (uint64_t)n;
            if (send(c->fd, b, (size_t)n, 0) != n)
                die("echo");
        }
    setitimer(ITIMER_REAL, &never, NULL);
}

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// waited says for how long a call waited that ended in time, with errno (short of it all: none).
static void waited(const char *call, long since, int err)
{
    if (err != EAGAIN)
        die(call);
    printf("%s ended after %ld ms\n", call, now_ms() - since);
    fflush(stdout);
}

static long begins(const char *call)
{
    printf("%s begins\n", call);
    fflush(stdout);
    return now_ms();
}

// Calls that wait in vain for two seconds.
static void by_deadline(struct conn *c)
{
    static char much[64 << 20];
    struct timeval two = { 2, 0 }, none = { 0, 0 };
    int file = open("/proc/self/exe", O_RDONLY);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof two);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &two, sizeof two);
    long at = begins("recv");
    ssize_t n = recv(c->fd, much, 1, 0);
    waited("recv", at, n < 0 ? errno : 0);
    at = begins("send");
    n = send(c->fd, much, sizeof much, 0);
    waited("send", at, n > 0 && n < (ssize_t)sizeof much ? EAGAIN : errno);
    begins("sendfile");
    do // what room there is still
        at = now_ms();
    while ((n = sendfile(c->fd, file, &(off_t){ 0 }, 1 << 10)) > 0);
    waited("sendfile", at, errno);
    close(file);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
    recv(c->fd, much, 1, 0); // the peer's end
}

// More buffers than are passed on at once, in calls that end when all of them are done.
static void by_vector(struct conn *c)
{
    static char much[64 << 10];
    struct iovec v[200];
    for (int i = 0; i < 200; i++)
        v[i] = (struct iovec){ much, sizeof much };
    begins("writev");
    printf("writev: %zd\n", writev(c->fd, v, 200));
    for (int i = 0; i < 200; i++)
        v[i].iov_len = 1 << 10;
    begins("recvmsg");
    printf("recvmsg: %zd\n", recvmsg(c->fd, &(struct msghdr){ .msg_iov = v, .msg_iovlen = 200 }, MSG_WAITALL));
    fflush(stdout);
}

static void *serve(void *arg)
{
    struct conn *c = arg;
    char style[16] = "";
    if (recv(c->fd, style, 8, MSG_WAITALL) != 8)
        die("style");
    if (strstr(style, "poll"))
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (!strcmp(style, "threads "))
        by_threads(c);
    else if (!strcmp(style, "poll    "))
        by_poll(c);
    else if (!strcmp(style, "epoll   "))
        by_epoll(c, 0);
    else if (!strcmp(style, "epollet "))
        by_epoll(c, EPOLLET);
    else if (!strcmp(style, "epollone"))
        by_epoll(c, EPOLLONESHOT);
    else if (!strcmp(style, "writers "))
        by_two_writers(c);
    else if (!strcmp(style, "closing "))
        by_duplicate(c);
    else if (!strcmp(style, "vector  "))
        by_vector(c);
    else if (!strcmp(style, "handler "))
        by_handler(c);
    else if (!strcmp(style, "deadline"))
        by_deadline(c);
    else
        by_silence(c);
    finish(c);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[1]), .sin_port = htons((uint16_t)atoi(argv[2])) };
    int l = socket(AF_INET, SOCK_STREAM, 0), one = 1, n = argc > 3 ? atoi(argv[3]) : 0;
    pause_us = getenv("SLT_PAUSE") ? atol(getenv("SLT_PAUSE")) : 0;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(l, (void *)&sa, sizeof sa) != 0 || listen(l, 64) != 0)
        die("listen");
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0);
    printf("listening\n");
    fflush(stdout);
    sigset_t alarm; // is for the thread that asks for it
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    pthread_t *t = calloc((size_t)n, sizeof *t);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (getenv("SLT_STACK"))
        pthread_attr_setstacksize(&attr, (size_t)atol(getenv("SLT_STACK")));
    for (int i = 0; i < n; i++) {
        struct conn *c = calloc(1, sizeof *c);
        c->number = i;
        if ((c->fd = accept(l, NULL, NULL)) < 0)
            die("accept");
        pthread_create(&t[i], &attr, serve, c);
    }
    for (int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    return 0;
}
