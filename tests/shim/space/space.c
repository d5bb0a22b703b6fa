// A program that limits its own address space and data, before it serves and after: it reads what it set, its mappings end there, it is served on, and so
// are a child that limits itself and the program that the child executes.
#include "../prog/prog.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>

static const rlim_t MB = 1 << 20;

// told shows a limit by all of the calls that read it.
static void told(int resource)
{
    struct rlimit a, b, c, d;
    must(getrlimit(resource, &a) == 0 && prlimit(0, resource, NULL, &b) == 0 && prlimit(getpid(), resource, NULL, &c) == 0, "getrlimit");
    must(syscall(SYS_prlimit64, 0, resource, NULL, &d) == 0, "prlimit64");
    must(a.rlim_cur == b.rlim_cur && b.rlim_cur == c.rlim_cur && c.rlim_cur == d.rlim_cur, "one answer");
    show(resource == RLIMIT_AS ? "space" : "data", "%ld of %ld", (long)a.rlim_cur, (long)a.rlim_max);
}

static void room(const char *name, rlim_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    show(name, "%s", p == MAP_FAILED ? strerrorname_np(errno) : "there");
    if (p != MAP_FAILED)
        munmap(p, bytes);
}

// confine sets the limits; the engine is there or not.
static void confine(rlim_t soft, rlim_t hard)
{
    struct rlimit to = { soft, hard };
    result("setrlimit AS", setrlimit(RLIMIT_AS, &to));
    result("setrlimit DATA", setrlimit(RLIMIT_DATA, &to));
    told(RLIMIT_AS);
    told(RLIMIT_DATA);
}

// settle returns when all queues are this process's, says the test, which asks the broker.
static void settle(int l)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct pollfd p = { .fd = l, .events = POLLIN };
    char c;
    if (!getenv("SLT_SETTLE"))
        return;
    poll(&p, 1, 0); // so that it is served
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", getenv("SLT_SETTLE"));
    must(connect(fd, (void *)&sa, sizeof sa) == 0, "connect to the test");
    dprintf(fd, "%d\n", (int)getpid());
    must(read(fd, &c, 1) == 1, "settle");
    close(fd);
}

static void serve(int l, int port, const char *name)
{
    char b[8] = "";
    settle(l);
    int peer, fd = pair(l, port, &peer);
    must(write(peer, "ask", 3) == 3, "write");
    show(name, "%zd %s", recv(fd, b, 8, 0), b);
    must(write(fd, "answer", 6) == 6, "write");
    show(name, "%zd %.6s", recv(peer, b, 6, MSG_WAITALL), b);
    close(fd), close(peer);
}

// child limits itself as vsftpd's sessions do, goes on with the connection, and executes the program with the listener.
static int child(int l, int fd, char *self, int port)
{
    char b[8] = "", listener[12], at[12];
    confine(200 * MB, 200 * MB);
    room("20 MB", 20 * MB);
    room("8 GB", 8192 * MB);
    show("read", "%zd %s", recv(fd, b, 8, 0), b);
    show("write", "%zd", send(fd, "answer", 6, 0));
    close(fd);
    snprintf(listener, sizeof listener, "%d", l);
    snprintf(at, sizeof at, "%d", port);
    return execl(self, self, listener, at, (char *)NULL);
}

static int executed(int l, int port)
{
    told(RLIMIT_AS);
    told(RLIMIT_DATA);
    room("100 MB", 100 * MB);
    room("300 MB", 300 * MB);
    serve(l, port, "executed");
    room("8 GB", 8192 * MB);
    told(RLIMIT_AS);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return executed(atoi(argv[1]), atoi(argv[2]));
    confine(900 * MB, 1000 * MB);
    room("500 MB", 500 * MB);
    room("1200 MB", 1200 * MB);
    result("bad address", syscall(SYS_prlimit64, 0, RLIMIT_AS, 8, NULL));
    result("soft above hard", setrlimit(RLIMIT_AS, &(struct rlimit){ 1001 * MB, 1000 * MB }));
    int port, peer, status, l = listener(AF_INET, &port);
    char b[8] = "";
    settle(l);
    int fd = pair(l, port, &peer);
    serve(l, port, "first");
    confine(600 * MB, 700 * MB);
    room("100 MB", 100 * MB);
    room("8 GB", 8192 * MB);
    must(write(peer, "ask", 3) == 3, "write");
    pid_t pid = fork();
    if (pid == 0)
        _exit(child(l, fd, argv[0], port));
    close(l); // else half of the child's connections come by queues of this process
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    show("child", "%x", status);
    show("answer", "%zd %s", recv(peer, b, 6, MSG_WAITALL), b);
    close(fd), close(peer);
    l = listener(AF_INET, &port);
    serve(l, port, "last");
    return 0;
}
