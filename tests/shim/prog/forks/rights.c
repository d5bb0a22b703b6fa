// A connection and a listener that go over a unix socket to another program, with and without the preload object.
#include "../prog.h"

#define OVER 9 // the unix socket in the other program

extern char **environ;
static int l, port, peer;

static void send_fd(int over, int what, const char *kind)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } c = { .b = { 0 } };
    struct iovec v = { (void *)kind, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
    c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&c.h), &what, sizeof what);
    must(sendmsg(over, &m, 0) == 1, "pass");
}

static void echo(int fd)
{
    char b[32];
    ssize_t n = read(fd, b, sizeof b);
    must(n > 0 && write(fd, b, (size_t)n) == n, "echo");
}

// other is the other program: it echoes once on each connection that comes over, and on one of each listener.
static int other(void)
{
    for (;;) {
        union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } c;
        char kind;
        struct iovec v = { &kind, 1 };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
        if (recvmsg(OVER, &m, 0) != 1)
            return 0;
        int fd;
        memcpy(&fd, CMSG_DATA(&c.h), sizeof fd);
        if (kind == 'l') {
            int from = fd;
            must((fd = accept(from, NULL, NULL)) >= 0, "accept");
            close(from);
        }
        echo(fd);
        close(fd);
    }
}

static pid_t start(int preloaded, int *over)
{
    int u[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, u) == 0, "socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        if (!preloaded) // an empty one is a word on it, too: the preload object does not come along
            setenv("LD_PRELOAD", "", 1);
        dup2(u[1], OVER);
        execl("/proc/self/exe", "rights", "other", NULL);
        _exit(127);
    }
    close(u[1]);
    *over = u[0];
    return pid;
}

static void want(const char *name, int from, const char *text)
{
    char b[32] = "";
    ssize_t r = recv(from, b, strlen(text) ? strlen(text) : 1, MSG_WAITALL);
    show(name, "%zd %s", r, b);
}

static void ask(const char *name, int to)
{
    must(write(to, "question", 8) == 8, "ask");
    want(name, to, "question");
}

static void connection(int over, int keep)
{
    int fd = pair(l, port, &peer);
    must(write(peer, "unread", 6) == 6, "write");
    must(write(fd, "first", 5) == 5, "write");
    send_fd(over, fd, "c");
    if (!keep)
        close(fd);
    want("from here", peer, "first");
    want("echo", peer, "unread");
    if (keep) { // both have it: what one closes, the other keeps
        must(write(peer, "more", 4) == 4, "write");
        echo(fd);
        want("echo here", peer, "more");
        close(fd);
    }
    want("end", peer, "");
    close(peer);
}

// A listener that both programs have, and one that only the other has then. dial blocks no longer than the SYN is lost.
static void listeners(int over)
{
    int at, own = listener(AF_INET, &at);
    close(pair(own, at, &peer)), close(peer); // it serves here first
    send_fd(over, own, "l");
    close(own);
    int c = dial(at);
    ask("given away", c);
    want("end", c, "");
    close(c);
}

static void rights(int preloaded)
{
    int over, status;
    pid_t pid = start(preloaded, &over);
    show("other program", preloaded ? "preloaded" : "not preloaded");
    connection(over, 0);
    connection(over, 1);
    listeners(over);
    close(over);
    waitpid(pid, &status, 0);
    show("status", "%x", status);
}

int main(int argc, char **argv)
{
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1)
        return other();
    l = listener(AF_INET, &port);
    fcntl(l, F_SETFD, FD_CLOEXEC);
    rights(1);
    rights(0);
    return 0;
}
