// A thread for each connection, and one that waits for connections: whenever many of them end their waits at the same time, somebody must go on
// watching for packets, or the next connection is not answered.
#include "../prog.h"

enum { CONNECTIONS = 12, ROUNDS = 60 };

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char b[16];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (ssize_t n; poll(&p, 1, -1) == 1 && (n = read(fd, b, sizeof b)) > 0;)
        must(write(fd, b, (size_t)n) == n, "echo");
    close(fd);
    return NULL;
}

static void *take(void *arg)
{
    int l = (int)(intptr_t)arg;
    struct pollfd p = { .fd = l, .events = POLLIN };
    for (;;) {
        pthread_t t;
        must(poll(&p, 1, -1) == 1, "poll");
        int fd = accept(l, NULL, NULL);
        must(fd >= 0 && pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0, "a thread for it");
        pthread_detach(t);
    }
    return NULL;
}

static int ask(int port)
{
    int fds[CONNECTIONS], answered = 0;
    struct timeval patience = { 15, 0 };
    char b[16];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            fds[i] = peer_socket();
            must(setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0, "SO_SNDTIMEO");
            must(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0, "SO_RCVTIMEO");
            must(dial_to(fds[i], port) == 0, "connect");
        }
        for (int i = 0; i < CONNECTIONS; i++)
            must(write(fds[i], "question", 8) == 8, "write");
        for (int i = 0; i < CONNECTIONS; i++)
            answered += recv(fds[i], b, 8, MSG_WAITALL) == 8;
        for (int i = 0; i < CONNECTIONS; i++)
            close(fds[i]);
    }
    show("answered", "%d", answered);
    return 0;
}

int main(void)
{
    int port, status, l = listener(AF_INET, &port);
    pthread_t t;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask(port));
    must(pthread_create(&t, NULL, take, (void *)(intptr_t)l) == 0, "thread");
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    show("asked", "%x", status);
    return 0;
}
