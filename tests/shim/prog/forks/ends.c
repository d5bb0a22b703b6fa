// A program ends with octets queued, in every way that it can: all of them arrive, and the end after them.
#include "../prog.h"

#include <sys/syscall.h>

static void by_exit(void) { exit(0); }
static void by__exit(void) { _exit(0); }
static void by_quick_exit(void) { quick_exit(0); }
static void by_number(void) { syscall(SYS_exit_group, 0); }

static void by_exec(void)
{
    for (int fd = 3; fd < 20; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    execl("/bin/true", "true", NULL);
}

static void by_exec_inherited(void) { execl("/bin/true", "true", NULL); }

static void *leave(void *none)
{
    exit(0);
    return none;
}

static void by_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, leave, NULL);
    pthread_join(t, NULL);
}

static const struct end {
    const char *name;
    void (*now)(void);
} ends[] = {
    { "exit", by_exit }, { "_exit", by__exit }, { "quick_exit", by_quick_exit }, { "SYS_exit_group", by_number },
    { "exec, close-on-exec", by_exec }, { "exec, inherited", by_exec_inherited }, { "exit in a thread", by_thread },
};

// text is what octet i of the stream is.
static char text(long i) { return (char)(i % 251); }

// serve accepts, writes what fits while nobody reads, tells how much, and ends as it is told.
static void serve(const struct end *e, int say)
{
    static char block[251 * 40];
    int port, l = listener(AF_INET, &port);
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0);
    for (int i = 0; getenv("LD_PRELOAD") && i < 30; i++)
        nap(10), poll(&p, 1, 0); // as in pair(): for the queues
    must(write(say, &port, sizeof port) == sizeof port, "say");
    int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    must(fd >= 0, "accept");
    for (long i = 0; i < (long)sizeof block; i++)
        block[i] = text(i);
    long total = 0;
    for (ssize_t n; total < 3000000 && (n = write(fd, block + total % 251, sizeof block - 251)) > 0;)
        total += n;
    must(write(say, &total, sizeof total) == sizeof total, "say");
    e->now();
    must(0, "still here");
}

// drain reads up to the end: how many octets came as they should.
static long drain(int fd)
{
    char b[8192];
    long good = 0;
    for (ssize_t n; (n = read(fd, b, sizeof b)) != 0;) {
        must(n > 0, "read");
        for (ssize_t i = 0; i < n; i++)
            must(b[i] == text(good++), "octet");
    }
    return good;
}

static void trial(const struct end *e)
{
    int u[2], port, status;
    long total;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u) == 0, "socketpair");
    pid_t pid = fork();
    if (pid == 0)
        close(u[0]), serve(e, u[1]);
    close(u[1]);
    must(read(u[0], &port, sizeof port) == sizeof port, "port");
    int fd = dial(port);
    must(read(u[0], &total, sizeof total) == sizeof total && total > 100000, "queued");
    must(waitpid(pid, &status, 0) == pid, "wait"); // it is gone, and nothing was read yet
    show(e->name, "%x, %s", status, drain(fd) == total ? "all arrived" : "too few or too many");
    close(fd), close(u[0]);
}

int main(void)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        trial(&ends[i]);
    return 0;
}
