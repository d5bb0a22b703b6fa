// Connections that become descriptors 0, 1 and 2: read and written by stdio, which makes its calls inside libc, by children, by
// programs; and what a number is after stdio closed it, which nobody sees.
#include "../prog.h"

static int l, port, peer, saved[3];

static void keep(void)
{
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
}

static void back(void)
{
    for (int i = 0; i < 3; i++)
        dup2(saved[i], i), close(saved[i]);
}

static void want(const char *name, const char *text)
{
    char b[64] = "";
    ssize_t r = recv(peer, b, strlen(text) ? strlen(text) : 1, MSG_WAITALL);
    show(name, "%zd %s", r, b);
}

static void give(const char *s) { must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "give"); }

// talk is what a server does that inetd would start.
static void talk(void)
{
    char line[64] = "";
    must(fgets(line, sizeof line, stdin) != NULL, "fgets");
    printf("got %s", line);
    fflush(stdout);
    fputs("and an error\n", stderr);
}

static void onto(int fd) { dup2(fd, 0), dup2(fd, 1), dup2(fd, 2), close(fd); }

static void here(void)
{
    int fd = pair(l, port, &peer);
    give("line\n");
    keep();
    onto(fd);
    talk();
    back();
    want("stdio", "got line\nand an error\n");
    want("end", "");
    close(peer);
}

static void in_child(void)
{
    int fd = pair(l, port, &peer), status;
    give("line\n");
    if (fork() == 0) {
        onto(fd);
        talk();
        exit(0);
    }
    close(fd);
    want("stdio of a child", "got line\nand an error\n");
    want("end", "");
    wait(&status);
    show("child", "%x", status);
    close(peer);
}

// accepted: the lowest number is 0, as descriptors 0 to 2 are closed.
static void accepted(void)
{
    keep();
    close(0), close(1), close(2);
    struct pollfd p = { .fd = l, .events = POLLIN };
    poll(&p, 1, 0);
    peer = fcntl(dial(port), F_DUPFD, 50);
    close(0); // what dial had
    int fd = accept(l, NULL, NULL), one = dup(fd), two = fcntl(fd, F_DUPFD, 0);
    give("line\n");
    talk();
    back();
    show("numbers", "%d %d %d", fd, one, two);
    want("stdio", "got line\nand an error\n");
    want("end", "");
    close(peer);
}

static void executed(void)
{
    int fd = pair(l, port, &peer), status;
    if (fork() == 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        onto(fd);
        execl("/bin/sh", "sh", "-c", "read a; echo out $a; echo err $a >&2", NULL);
        _exit(127);
    }
    close(fd);
    give("line\n");
    want("a shell", "out line\nerr line\n");
    want("end", "");
    wait(&status);
    show("child", "%x", status);
    close(peer);
}

static void closed(void)
{
    char b[8] = "", line[16] = "";
    int fd = pair(l, port, &peer);
    give("line\n");
    FILE *f = fdopen(fd, "r");
    show("fdopen", "%s", fgets(line, sizeof line, f) ? line : "-");
    fclose(f);
    want("end", "");
    int null = open("/proc/self/comm", O_RDWR);
    show("number again", "%d", null == fd);
    result("read a file", read(null, b, 3));
    result("its start", pread(null, b, 3, 0));
    result("write a file", write(null, "name", 4));
    struct stat st;
    result("fstat", fstat(null, &st));
    show("a file", "%d", S_ISREG(st.st_mode));
    struct iovec v = { b, 1 };
    lseek(null, 0, SEEK_SET);
    result("readv a file", readv(null, &v, 1));
    result("recv", recv(null, b, 1, 0));
    close(null), close(peer);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    l = listener(AF_INET, &port);
    fcntl(l, F_SETFD, FD_CLOEXEC);
    here();
    in_child();
    clearerr(stdin);
    accepted();
    executed();
    closed();
    return 0;
}
