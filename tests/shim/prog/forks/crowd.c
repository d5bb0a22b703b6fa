// A child for each connection, many at once, as inetd and forking servers do: each is served by its child, whatever the others do.
#include "../prog.h"

#define CROWD 40 // below 64, the forks that may have heirs at once

static void serve(int l, int fd, const int *peer, int n)
{
    char b[8];
    close(l);
    while (n > 0) // else their ends would wait for this process
        close(peer[--n]);
    for (ssize_t r; (r = read(fd, b, sizeof b)) > 0;)
        if (write(fd, b, (size_t)r) != r)
            _exit(1);
    _exit(0);
}

static int round_of(int l, int port)
{
    int peer[CROWD], good = 0, status;
    for (int i = 0; i < CROWD; i++) {
        int fd = pair(l, port, &peer[i]);
        if (fork() == 0)
            serve(l, fd, peer, i + 1);
        close(fd);
    }
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < CROWD; i++) {
            char b[4] = "";
            good += write(peer[i], "abc", 3) == 3 && recv(peer[i], b, 3, MSG_WAITALL) == 3 && strcmp(b, "abc") == 0;
        }
    for (int i = 0; i < CROWD; i++)
        close(peer[i]);
    while (wait(&status) > 0)
        good += status == 0;
    return good;
}

int main(void)
{
    int port, l = listener(AF_INET, &port);
    for (int i = 0; i < 3; i++)
        show("served", "%d of %d", round_of(l, port), 4 * CROWD);
    return 0;
}
