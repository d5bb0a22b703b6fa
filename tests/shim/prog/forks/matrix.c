// Every way to make a process, times who uses the connection then: the child, its parent, both in turn. The first line waits unread
// when the child is made.
#include "../prog.h"

#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;
static int l, port, peer, fd;

// answer reads a line and says so, octet by octet as a shell does.
static void answer(void)
{
    char b[32] = "got ";
    size_t n = 4;
    while (n < sizeof b - 1 && read(fd, b + n, 1) == 1 && b[n++] != '\n')
        ;
    must(write(fd, b, n) == (ssize_t)n, "answer");
}

static void nothing(void) {}

// The ways of one program: start runs body in a child and returns who is to be waited for.
static pid_t child_of(pid_t pid, void (*body)(void))
{
    must(pid >= 0, "child");
    if (pid > 0)
        return pid;
    body();
    _exit(0);
}

static pid_t by_fork(void (*body)(void)) { return child_of(fork(), body); }
static pid_t by_small_fork(void (*body)(void)) { return child_of(_Fork(), body); }
static pid_t by_number(void (*body)(void)) { return child_of((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), body); }

static int cloned(void *body)
{
    ((void (*)(void))body)();
    return 0;
}

static pid_t by_clone(void (*body)(void))
{
    static char stack[1 << 18] __attribute__((aligned(16)));
    return clone(cloned, stack + sizeof stack, SIGCHLD, (void *)body);
}

static pid_t by_exit(void (*body)(void))
{
    pid_t pid = fork();
    if (pid > 0)
        return pid;
    body();
    exit(0);
}

static pid_t by_two_forks(void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        child_of(fork(), body), _exit(0);
    return pid;
}

static pid_t by_daemon(void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0)
        must(daemon(1, 1) == 0, "daemon"), body(), _exit(0);
    return pid;
}

static pid_t forker;
static void *fork_in_thread(void *body)
{
    forker = by_fork((void (*)(void))body);
    return NULL;
}

static pid_t by_thread(void (*body)(void))
{
    pthread_t t;
    pthread_create(&t, NULL, fork_in_thread, (void *)body);
    pthread_join(t, NULL);
    return forker;
}

// The ways of another program, a shell.
static char script[64];
static char *shell[] = { "sh", "-c", script, NULL };

static pid_t by_exec(void)
{
    pid_t pid = fork();
    return pid ? pid : (execv("/bin/sh", shell), _exit(127), 0);
}

static pid_t by_vfork(void)
{
    pid_t pid = vfork();
    return pid ? pid : (execve("/bin/sh", shell, environ), _exit(127), 0);
}

static pid_t by_spawn(void)
{
    pid_t pid = -1;
    must(posix_spawn(&pid, "/bin/sh", NULL, NULL, shell, environ) == 0, "spawn");
    return pid;
}

static pid_t by_spawnp(void)
{
    pid_t pid = -1;
    must(posix_spawnp(&pid, "sh", NULL, NULL, shell, environ) == 0, "spawn");
    return pid;
}

static pid_t by_system(void) { return must(system(script) == 0, "system"), 0; }

static pid_t by_popen(void)
{
    FILE *f = popen(script, "r");
    must(f && pclose(f) == 0, "popen");
    return 0;
}

static const struct way {
    const char *name;
    pid_t (*start)(void (*body)(void));
    pid_t (*program)(void);
} ways[] = {
    { "fork", by_fork, NULL }, { "fork, exit", by_exit, NULL }, { "_Fork", by_small_fork, NULL }, { "clone", by_clone, NULL },
    { "SYS_clone", by_number, NULL }, { "fork in a thread", by_thread, NULL }, { "two forks", by_two_forks, NULL }, { "daemon", by_daemon, NULL },
    { "fork, exec", NULL, by_exec }, { "vfork, exec", NULL, by_vfork }, { "posix_spawn", NULL, by_spawn }, { "posix_spawnp", NULL, by_spawnp },
    { "system", NULL, by_system }, { "popen", NULL, by_popen },
};

enum user { CHILD = 1, PARENT = 2, BOTH = 3 };

static void want(const struct way *w, const char *who, const char *text)
{
    char b[64] = "";
    size_t n = strlen(text);
    ssize_t r = recv(peer, b, n ? n : 1, MSG_WAITALL);
    show(w->name, "%s: %s", who, r == (ssize_t)n && strcmp(b, text) == 0 ? "as expected" : r < 0 ? strerrorname_np(errno) : b);
}

static void give(const char *line) { must(write(peer, line, strlen(line)) == (ssize_t)strlen(line), "give"); }

static void cell(const struct way *w, enum user user)
{
    int status = 0;
    fd = pair(l, port, &peer);
    give("one\n");
    snprintf(script, sizeof script, user & CHILD ? "read a <&%d; echo got $a >&%d" : "true", fd, fd);
    pid_t pid = w->start ? w->start(user & CHILD ? answer : nothing) : w->program();
    if (user == CHILD)
        close(fd);
    if (user & CHILD)
        want(w, "the child", "got one\n");
    if (pid > 0)
        must(waitpid(pid, &status, 0) == pid && status == 0, "the child's end");
    if (user == BOTH)
        give("two\n");
    if (user & PARENT) {
        answer();
        want(w, "the parent", user == BOTH ? "got two\n" : "got one\n");
        close(fd);
    }
    want(w, "the end", "");
    close(peer);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    l = listener(AF_INET, &port);
    fcntl(l, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (enum user u = CHILD; u <= BOTH; u++)
            cell(&ways[i], u);
    return 0;
}
