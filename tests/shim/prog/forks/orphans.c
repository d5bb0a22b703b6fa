// Children whose parent, who accepted their connection, ends before they touch it.
#include "../prog.h"

static int fd;

// gone waits until the parent is.
static void gone(pid_t parent) { UNTIL(getppid() != parent); }

// Each of these returns in the child only.
static void by_exit(void)
{
    pid_t me = getpid();
    if (fork() > 0)
        exit(0);
    gone(me);
}

static void by__exit(void)
{
    pid_t me = getpid();
    if (fork() > 0)
        _exit(0);
    gone(me);
}

static void closed_before(void)
{
    pid_t me = getpid();
    if (fork() > 0)
        close(fd), nap(20), exit(0);
    gone(me);
}

static void by_exec(void)
{
    pid_t me = getpid();
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fork() > 0)
        execl("/bin/true", "true", NULL);
    gone(me);
}

static void two_generations(void) { by__exit(), by__exit(); }
static void by_daemon(void) { must(daemon(1, 1) == 0, "daemon"); }

static const struct way {
    const char *name;
    void (*leave)(void);
    int closes; // the child never uses it
} ways[] = {
    { "exit", by_exit, 0 }, { "_exit", by__exit, 0 }, { "closed, exit", closed_before, 0 }, { "exec", by_exec, 0 },
    { "two generations", two_generations, 0 }, { "daemon", by_daemon, 0 }, { "exit, closed", by_exit, 1 },
};

static void echo(void)
{
    char b[32];
    ssize_t n = read(fd, b, sizeof b);
    must(n > 0 && write(fd, b, (size_t)n) == n, "echo");
}

static void serve(const struct way *w, int say)
{
    int port, l = listener(AF_INET, &port);
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0);
    for (int i = 0; getenv("LD_PRELOAD") && i < 30; i++)
        nap(10), poll(&p, 1, 0); // as in pair(): for the queues
    must(write(say, &port, sizeof port) == sizeof port, "say");
    fd = accept(l, NULL, NULL);
    echo();
    w->leave();
    close(l);
    if (w->closes)
        close(fd), must(read(say, &port, 1) == 0, "stay");
    else
        echo();
    exit(0);
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

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int u[2], port;
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, u) == 0, "socketpair");
        pid_t pid = fork();
        if (pid == 0)
            close(u[0]), serve(&ways[i], u[1]);
        close(u[1]);
        must(read(u[0], &port, sizeof port) == sizeof port, "port");
        int c = dial(port);
        ask(ways[i].name, c);
        must(waitpid(pid, NULL, 0) == pid, "wait");
        if (!ways[i].closes)
            ask("the child", c);
        want("end", c, "");
        close(c), close(u[0]);
    }
    return 0;
}
