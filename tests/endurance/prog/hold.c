// Many connections that are held, and all used, again and again:
//
//	hold serve ADDRESS PORT PROCESSES                      each process listens at PORT to PORT+PROCESSES-1 (SO_REUSEPORT), and echoes
//	hold call  ADDRESS PORT PROCESSES CONNECTIONS ROUNDS   connections in all; process i calls PORT+i
//
// A caller's process opens its share; once all have, each connection carries eight octets there and back, ROUNDS times; then all are closed.
// Output: "open N", then "used N" for each process; and what went wrong.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in at;

static void die(const char *what)
{
    fprintf(stderr, "hold: %s: %s\n", what, strerrorname_np(errno));
    exit(1);
}

static struct sockaddr_in port(int i)
{
    struct sockaddr_in a = at;
    a.sin_port = htons((uint16_t)(ntohs(at.sin_port) + i));
    return a;
}

static void echo(int fd)
{
    char b[64];
    ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
    if (n > 0 && send(fd, b, (size_t)n, MSG_NOSIGNAL) == n)
        return;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(fd);
}

static void serve(int ports)
{
    enum { MOST = 64 };
    static struct epoll_event ev[MOST];
    int ep = epoll_create1(0), listeners[MOST], on = 1;
    for (int i = 0; i < ports; i++) {
        struct sockaddr_in a = port(i);
        int l = listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(l, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (bind(l, (void *)&a, sizeof a) != 0 || listen(l, 4096) != 0)
            die("listen");
        epoll_ctl(ep, EPOLL_CTL_ADD, l, &(struct epoll_event){ .events = EPOLLIN, .data.fd = l });
    }
    for (;;) {
        int n = epoll_wait(ep, ev, MOST, -1);
        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd, listener = 0;
            for (int k = 0; k < ports; k++)
                listener |= fd == listeners[k];
            if (!listener)
                echo(fd);
            else
                for (int c; (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
                    epoll_ctl(ep, EPOLL_CTL_ADD, c, &(struct epoll_event){ .events = EPOLLIN, .data.fd = c });
        }
    }
}

static void use(int *fds, int n, uint64_t round)
{
    enum { AHEAD = 64 }; // questions that are under way at once
    for (int i = 0; i < n + AHEAD; i++) {
        uint64_t q = round << 32 | (uint32_t)i, a = 0;
        if (i < n && send(fds[i], &q, sizeof q, MSG_NOSIGNAL) != sizeof q)
            die("send");
        if (i < AHEAD)
            continue;
        if (recv(fds[i - AHEAD], &a, sizeof a, MSG_WAITALL) != sizeof a)
            die("recv");
        if (a != (round << 32 | (uint32_t)(i - AHEAD)))
            errno = EILSEQ, die("another answer");
    }
}

static void call(int process, int n, int rounds, int ready, int go)
{
    int *fds = calloc((size_t)n + 1, sizeof *fds);
    struct sockaddr_in a = port(process);
    char c = 0;
    for (int i = 0; i < n; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0 || connect(fds[i], (void *)&a, sizeof a) != 0)
            die("connect");
    }
    printf("open %d\n", n), fflush(stdout);
    if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 0) // the end of the pipe is the word
        die("pipe");
    for (int r = 1; r <= rounds; r++)
        use(fds, n, (uint64_t)r);
    printf("used %d\n", n), fflush(stdout);
    exit(0);
}

int main(int argc, char **argv)
{
    int ready[2], go[2], processes = argc > 4 ? atoi(argv[4]) : 0, worst = 0;
    if (processes < 1)
        return 2;
    at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])), .sin_addr.s_addr = inet_addr(argv[2]) };
    if (pipe(ready) != 0 || pipe(go) != 0)
        die("pipe");
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(go[1]);
            if (strcmp(argv[1], "serve") == 0)
                serve(processes);
            call(i, atoi(argv[5]) / processes, atoi(argv[6]), ready[1], go[0]);
        }
    close(ready[1]);
    for (char c; strcmp(argv[1], "call") == 0 && processes > 0 && read(ready[0], &c, 1) == 1; processes--)
        ;
    close(go[1]);
    for (int status; wait(&status) > 0;)
        worst |= status;
    return worst != 0;
}
