// Connections that leave for where no call can be caught: streams, other processes.
#include "prog.h"

#include <spawn.h>

extern char **environ;
static int l, port, peer, fd;

// expect shows what comes: at once (all false), or all up to the end.
static void expect(const char *name, int all)
{
    char b[64] = "";
    ssize_t r = recv(peer, b, sizeof b - 1, all ? MSG_WAITALL : 0);
    show(name, "%zd %s", r, b);
}

static void send_fd(int over, int what)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } c = { .b = { 0 } };
    struct iovec v = { "f", 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
    c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&c.h), &what, sizeof what);
    result("pass", sendmsg(over, &m, 0));
}

static int take_fd(int over)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } c;
    char b[4];
    int got = -1;
    struct iovec v = { b, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
    must(recvmsg(over, &m, 0) == 1, "take");
    memcpy(&got, CMSG_DATA(&c.h), sizeof got);
    return got;
}

static void streams(void)
{
    char line[64] = "";
    fd = pair(l, port, &peer);
    must(write(peer, "first\nsecond\n", 13) == 13, "write");
    FILE *f = fdopen(fd, "r");
    show("fgets", "%s", fgets(line, sizeof line, f) ? line : "-");
    FILE *w = fdopen(dup(fd), "w");
    fprintf(w, "printed %d", 5);
    result("fclose", fclose(w));
    expect("stream", 0);
    result("dprintf", dprintf(fd, "direct %d", 6));
    expect("dprintf", 0);
    result("fclose", fclose(f));
    expect("end", 0);
    close(peer);
}

static void passing(void)
{
    int u[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, u) == 0, "socketpair");
    fd = pair(l, port, &peer);
    must(write(peer, "unread", 6) == 6, "write");
    int have = 0;
    UNTIL(ioctl(fd, FIONREAD, &have) == 0 && have == 6);
    send_fd(u[0], fd);
    close(fd);
    if (fork() == 0) {
        char b[16] = "";
        int got = take_fd(u[1]);
        ssize_t n = read(got, b, sizeof b);
        show("child read", "%zd %s", n, b);
        result("child write", write(got, "from child", 10));
        _exit(0);
    }
    wait(NULL);
    close(u[0]), close(u[1]);
    expect("passed", 0);
    close(peer);
}

static void spawning(void)
{
    pid_t pid;
    char number[16];
    fd = pair(l, port, &peer);
    snprintf(number, sizeof number, "%d", fd);
    char *argv[] = { "sh", "-c", "echo spawned >&$0; read a <&$0; echo got $a >&$0", number, NULL };
    must(write(peer, "line\n", 5) == 5, "write");
    must(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0, "spawn");
    close(fd);
    expect("spawned", 1);
    waitpid(pid, NULL, 0);
    close(peer);

    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    fd = pair(l, port, &peer);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_adddup2(&fa, fd, 1);
    char *echo[] = { "sh", "-c", "echo stdout", NULL };
    must(posix_spawnp(&pid, "sh", &fa, NULL, echo, environ) == 0, "spawn");
    waitpid(pid, NULL, 0);
    posix_spawn_file_actions_destroy(&fa);
    expect("dup2", 0);
    close(fd), close(peer);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    l = listener(AF_INET, &port);
    streams();
    passing();
    spawning();
    fd = pair(l, port, &peer);
    if (vfork() == 0)
        _exit(close(fd)); // its own copy only
    wait(NULL);
    result("after vfork", write(fd, "alive", 5));
    expect("after vfork", 0);
    must(write(fd, "last words", 10) == 10, "write");
    dup2(fd, 1);
    execlp("sh", "sh", "-c", "echo exec; exec >&-; cat <&$0 >/dev/null & exit 0", "0", NULL);
    return 1;
}
