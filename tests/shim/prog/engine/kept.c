// recvmmsg that meets an error after a message has no way to tell: the next call does.
#include "../prog.h"

static int l, port, peer, fd;
static struct mmsghdr m[4];
static struct iovec v[4];
static char b[4][8];

static int away;

// leave makes the connection the kernel's, for a control message.
static void leave(void)
{
    char control[CMSG_SPACE(4)] = { 0 };
    struct cmsghdr *h = (void *)control;
    *h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_TCP };
    struct msghdr say = { .msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    must(sendmsg(fd, &say, 0) == 1 && recv(peer, b, 1, 0) == 1, "leave");
}

static void begin(const char *text)
{
    if (fd)
        close(fd), close(peer);
    fd = pair(l, port, &peer);
    if (away)
        leave();
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){ b[i], 4 };
        m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &v[i], .msg_iovlen = 1 } };
    }
    size_t n = strlen(text);
    must(write(peer, text, n) == (ssize_t)n, "write");
    UNTIL(recv(fd, b[0], 8, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)(n < 8 ? n : 8));
}

static void receive(const char *name, int flags)
{
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    result(name, recvmmsg(fd, m, 4, flags, NULL));
    must(poll(&p, 1, 1000) == 1, "poll");
    show("poll", "%x", p.revents);
}

static void asked(void)
{
    int err = -1;
    socklen_t n = sizeof err;
    for (int i = 0; i < 2; i++) {
        must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0, "SO_ERROR");
        show("SO_ERROR", "%d", err);
    }
}

static void mistakes(void)
{
    begin("0123456789"), v[1].iov_base = (void *)8;
    receive("no memory", MSG_DONTWAIT), asked();
    result("recv", recv(fd, b[0], 8, MSG_DONTWAIT));
    begin("0123456789"), v[1].iov_base = (void *)8;
    receive("no memory", MSG_DONTWAIT);
    result("data first", recv(fd, b[0], 8, MSG_DONTWAIT));
    result("then the error", recv(fd, b[0], 8, MSG_DONTWAIT));
    result("then nothing", recv(fd, b[0], 8, MSG_DONTWAIT));
    begin("0123456789"), v[1].iov_base = (void *)8;
    receive("no memory", MSG_DONTWAIT);
    result("write", write(fd, "x", 1)), result("write", write(fd, "x", 1));
    begin("0123456789"), v[1].iov_base = (void *)8;
    receive("no memory", MSG_DONTWAIT);
    result("at once", recvmmsg(fd, m, 4, MSG_DONTWAIT, NULL));
    begin("0123456789"), m[1].msg_hdr.msg_iovlen = 5000;
    receive("too many", MSG_DONTWAIT), asked();
    begin("0123456789"), m[1].msg_hdr.msg_iov = (void *)8;
    receive("no vector", MSG_DONTWAIT), asked();
}

static void *resets(void *arg)
{
    nap(50);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    close(peer);
    peer = -1;
    return arg;
}

static pthread_t main_thread;

static void *signals(void *arg)
{
    nap(50);
    pthread_kill(main_thread, SIGUSR1);
    return arg;
}

static void handler(int sig) { (void)sig; }

static void during(const char *name, void *(*what)(void *), int timeout)
{
    pthread_t t;
    begin("01234567");
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ timeout, 0 }, sizeof(struct timeval)) == 0, "SO_RCVTIMEO");
    pthread_create(&t, NULL, what, NULL);
    receive(name, 0);
    pthread_join(t, NULL);
}

static void ends(void)
{
    during("reset", resets, 0), asked();
    during("reset", resets, 0), result("recv", recv(fd, b[0], 8, 0)), result("recv", recv(fd, b[0], 8, 0));
}

int main(void)
{
    main_thread = pthread_self();
    l = listener(AF_INET, &port);
    mistakes(), ends();
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };
        sigaction(SIGUSR1, &sa, NULL);
        during("signal", signals, 0), asked();
        during("signal, time-out", signals, 20), asked();
        during("signal, time-out", signals, 20), result("recv", recv(fd, b[0], 8, 0));
    }
    away = 1;
    show("the kernel's", "that the engine may take");
    mistakes(), ends();
    away = 0;
    begin("01234567");
    result("not a program's to set", setsockopt(fd, SOL_SOCKET, SO_ERROR, &(int){ EFAULT }, sizeof(int))), asked();
    return 0;
}
