// A server that lets its memory for packets run full: full ADDRESS PORT. The first octet of a connection says what it is: 'e' is echoed at once, always; 'd'
// is deaf: it is not read until a line comes on standard input, then to its end, and each octet looked at (the i-th is i modulo 251). It is answered with "octets,
// wrong ones" and closed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 4096, INPUT = 0, LISTENER = 1, FIRST = 2 };

static struct pollfd fds[MOST];
static struct conn {
    char kind; // 0: its first octet has not come
    unsigned long octets, wrong;
} conns[MOST];
static int n = FIRST;
static bool drain;

static void gone(int i)
{
    close(fds[i].fd);
    fds[i] = fds[--n], conns[i] = conns[n];
}

static void deaf(int i)
{
    static unsigned char b[65536];
    struct conn *c = &conns[i];
    ssize_t got = read(fds[i].fd, b, sizeof b);
    for (ssize_t k = 0; k < got; k++)
        c->wrong += b[k] != c->octets++ % 251;
    if (got <= 0) {
        dprintf(fds[i].fd, "%lu, %lu", c->octets, got < 0 ? 1 : c->wrong);
        gone(i);
    }
}

static void echo(int i)
{
    char b[4096];
    ssize_t got = read(fds[i].fd, b, sizeof b);
    if (got <= 0 || write(fds[i].fd, b, (size_t)got) != got)
        gone(i);
}

static void serve(int i)
{
    struct conn *c = &conns[i];
    if (c->kind == 'e') {
        echo(i);
    } else if (c->kind == 'd') {
        deaf(i);
    } else if (read(fds[i].fd, &c->kind, 1) != 1) {
        gone(i);
    } else if (c->kind == 'd' && !drain) {
        fds[i].events = 0;
    }
}

static void listen_to_all(void)
{
    drain = true;
    fds[INPUT].fd = -1;
    for (int i = FIRST; i < n; i++)
        fds[i].events = POLLIN;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = inet_addr(argv[1]) };
    int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&at, sizeof at) != 0 || listen(l, 1024) != 0)
        return perror("listen"), 1;
    fds[INPUT] = (struct pollfd){ STDIN_FILENO, POLLIN, 0 }, fds[LISTENER] = (struct pollfd){ l, POLLIN, 0 };
    for (;;) {
        if (poll(fds, (nfds_t)n, -1) < 0)
            return perror("poll"), 1;
        for (int i = n - 1; i >= FIRST; i--)
            if (fds[i].revents)
                serve(i);
        if (fds[LISTENER].revents && n < MOST)
            fds[n] = (struct pollfd){ accept(l, NULL, NULL), POLLIN, 0 }, conns[n++] = (struct conn){ 0 };
        if (fds[INPUT].revents)
            listen_to_all();
    }
}
