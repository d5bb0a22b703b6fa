// A connection leaves for another process while signals come, whose handler has no SA_RESTART: what the engine waits for meanwhile, it waits for. And what
// the peer sent before leaves with it: of an accept and a fork the child has the first request at once.
#include <sys/time.h>

#include "../prog.h"

static int u[2];
static volatile sig_atomic_t ran;

static void handler(int sig) { (void)sig, ran++; }

static void storm(int us) { must(setitimer(ITIMER_REAL, &(struct itimerval){ { 0, us }, { 0, us } }, NULL) == 0, "setitimer"); }

// passed is a copy of fd as another process would get it.
static int passed(int fd)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } c = { .b = { 0 } };
    char one = 0;
    struct msghdr m = { .msg_iov = &(struct iovec){ &one, 1 }, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
    c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&c.h), &fd, sizeof fd);
    storm(40);
    ssize_t r = sendmsg(u[0], &m, 0);
    storm(0);
    must(r == 1, "pass");
    must(recvmsg(u[1], &m, 0) == 1, "take");
    memcpy(&fd, CMSG_DATA(&c.h), sizeof fd);
    return fd;
}

static int repeated(int peer)
{
    struct tcp_info i = { 0 };
    socklen_t n = sizeof i;
    return getsockopt(peer, SOL_TCP, TCP_INFO, &i, &n) == 0 && i.tcpi_total_retrans > 0;
}

int main(void)
{
    int port, l = listener(AF_INET, &port), right[2] = { 0 }, again = 0;
    struct sigaction sa = { .sa_handler = handler };
    must(sigaction(SIGALRM, &sa, NULL) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0, "begin");
    for (int i = 0; i < 60; i++) {
        char b[16];
        int ends = i % 2, peer, fd = pair(l, port, &peer), other;
        must(write(peer, "hello", 5) == 5, "write");
        if (ends) {
            must(setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)) == 0, "linger");
            UNTIL(recv(fd, b, sizeof b, MSG_PEEK | MSG_DONTWAIT) == 5);
            close(peer);
            must(poll(&(struct pollfd){ .fd = fd }, 1, 10000) == 1, "poll");
        }
        other = passed(fd);
        close(fd);
        pid_t child = fork(); // which has no engine: what it has is the kernel's, or nothing
        if (child == 0) {
            int all = recv(other, b, 5, MSG_WAITALL) == 5 && (ends ? recv(other, b, 1, 0) < 0 && errno == ECONNRESET : send(other, "bye", 3, 0) == 3);
            _exit(all ? 0 : 1);
        }
        int status;
        must(waitpid(child, &status, 0) == child, "waitpid");
        right[ends] += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        close(other);
        if (!ends)
            right[ends] -= recv(peer, b, 3, MSG_WAITALL) != 3, again += repeated(peer), close(peer);
    }
    show("had to send again", "%s", again <= 10 ? "few" : "most");
    show("right", "%d that live, %d that were reset", right[0], right[1]);
    return 0;
}
