// The other end of reuse.c, by the kernel: makes connections and takes them, sends back what comes, and looks whose it is.
//
//   peer SERVER PORT OWN-HOST OWN-PORT
#include "tag.h"

#define THREADS 6

static struct sockaddr_in server, own;

static void complain(const char *what, const struct record *r)
{
    printf("peer: %s: connection %llx, record %u\n", what, (unsigned long long)r->id, r->seq);
    fflush(stdout);
}

// serve echoes until the end of the stream. What came is of one connection, from its first record on.
static void serve(int fd)
{
    struct record r[RECORDS * 4];
    uint64_t id = 0;
    uint32_t next = 0;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (ssize_t n; (n = recv(fd, r, sizeof r, 0)) > 0;) {
        if (!whole(r, n))
            complain("torn", r);
        else if (r->seq != next || (next > 0 && r->id != id))
            complain("another's", r);
        id = r->id, next = r[(size_t)n / sizeof *r - 1].seq + 1;
        if (send(fd, r, (size_t)n, MSG_NOSIGNAL) != n)
            break;
    }
    close(fd);
}

static void *calls(void *none)
{
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&server, sizeof server) == 0)
            serve(fd);
        else
            close(fd), usleep(1000); // it is not there yet, or not any more
    }
    return none;
}

static void *answers(void *listener)
{
    for (;;) {
        int fd = accept(*(int *)listener, NULL, NULL);
        if (fd >= 0)
            serve(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    server = at(argv[1], argv[2]), own = at(argv[3], argv[4]);
    int l = listen_at(&own);
    for (int i = 0; i < 2 * THREADS; i++) {
        pthread_t t;
        pthread_create(&t, NULL, i % 2 ? calls : answers, &l);
    }
    pause();
    return 0;
}
