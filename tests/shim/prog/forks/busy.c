// Processes that accept, each busy with one connection for as long as it lasts: whoever is free accepts the next, whichever way it came.
#include "../prog.h"

#include <signal.h>

enum { WORKERS = 3 };

static void work(int l)
{
    char b[32];
    for (;;) {
        int fd = accept(l, NULL, NULL);
        must(fd >= 0, "accept");
        for (ssize_t n; (n = read(fd, b, sizeof b)) > 0;)
            must(write(fd, b, (size_t)n) == n, "echo");
        close(fd);
    }
}

static void ask(int fd, int i)
{
    char b[32] = "", q[32];
    snprintf(q, sizeof q, "question %02d", i);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    must(write(fd, q, 11) == 11, "write");
    must(poll(&p, 1, 15000) == 1, "an answer in time");
    show("answer", "%zd %s", recv(fd, b, 11, MSG_WAITALL), b);
}

int main(void)
{
    int port, l = listener(AF_INET, &port), kept[WORKERS - 1];
    pid_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        if ((workers[i] = fork()) == 0)
            work(l);
    close(l);
    nap(300); // most often all are served by the engine by then; if not, the kernel has the first connections
    for (int i = 0; i < WORKERS - 1; i++)
        ask(kept[i] = dial(port), i);
    for (int i = 10; i < 18; i++) {
        int fd = dial(port);
        ask(fd, i);
        close(fd);
    }
    for (int i = 0; i < WORKERS - 1; i++)
        ask(kept[i], i), close(kept[i]);
    for (int i = 0; i < WORKERS; i++)
        kill(workers[i], SIGTERM), waitpid(workers[i], NULL, 0);
    return 0;
}
