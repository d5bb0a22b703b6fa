// Connections that forked children inherit: used by the child, by both, by nobody, by another program.
#include <sys/time.h>

#include "../prog.h"

static int l, port, peer, fd;

static void want(const char *name, const char *text)
{
    char b[64] = "";
    ssize_t r = recv(peer, b, strlen(text) ? strlen(text) : 1, MSG_WAITALL);
    show(name, "%zd %s %s", r, b, strcmp(b, text) == 0 ? "as expected" : "unexpected");
}

static void quiet(const char *name)
{
    char b[4];
    result(name, recv(peer, b, 1, MSG_DONTWAIT));
}

static void give(const char *s) { must(write(peer, s, strlen(s)) == (ssize_t)strlen(s), "give"); }

// echo reads once and answers.
static void echo(void)
{
    char b[64];
    ssize_t n = read(fd, b, sizeof b);
    must(n > 0 && write(fd, b, (size_t)n) == n, "echo");
}

static void done(void)
{
    int status;
    while (wait(&status) > 0)
        show("child", "%x", status);
    close(peer);
}

static void server(void)
{
    fd = pair(l, port, &peer);
    if (fork() == 0) {
        close(l);
        echo();
        _exit(0);
    }
    close(fd);
    nap(30);
    quiet("nothing yet");
    give("to the child");
    want("echo", "to the child");
    want("end", "");
    done();
}

static void tick(int sig) { (void)sig; }

// interrupted: signals come all the time while a child fetches what it has inherited.
static void interrupted(void)
{
    for (int i = 0; i < 20; i++) {
        fd = pair(l, port, &peer);
        if (fork() == 0) {
            struct itimerval often = { { 0, 100 }, { 0, 100 } };
            close(l);
            signal(SIGALRM, tick);
            setitimer(ITIMER_REAL, &often, NULL);
            ssize_t n = write(fd, "interrupted", 11);
            _exit(n == 11 ? 0 : errno);
        }
        close(fd);
        want("through signals", "interrupted");
        want("end", "");
        done();
    }
}

static void unread(void)
{
    fd = pair(l, port, &peer);
    give("before the fork");
    int have = 0;
    UNTIL(ioctl(fd, FIONREAD, &have) == 0 && have == 15);
    must(write(fd, "unread there", 12) == 12, "write");
    if (fork() == 0) {
        close(l);
        echo();
        exit(0);
    }
    close(fd);
    want("from before", "unread there");
    want("echo", "before the fork");
    want("end", "");
    done();
}

static void bystander(void)
{
    fd = pair(l, port, &peer);
    if (fork() == 0)
        _exit(0);
    done();
    peer = -1;
    fd = pair(l, port, &peer);
    pid_t child = fork();
    if (child == 0) {
        pause(); // has it, and never touches it
        _exit(0);
    }
    give("mine");
    echo();
    want("parent goes on", "mine");
    close(fd);
    nap(50);
    quiet("held by the child");
    kill(child, SIGKILL);
    want("end", "");
    done();
}

static void closer(void)
{
    int p[2];
    must(pipe(p) == 0, "pipe");
    fd = pair(l, port, &peer);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(p[1]);
        must(read(p[0], &c, 1) == 0, "go");
        close(fd);
        pause();
        _exit(0);
    }
    close(p[0]);
    close(fd);
    nap(50);
    quiet("held by the child");
    close(p[1]);
    want("closed by the child", "");
    kill(child, SIGKILL);
    done();
}

static void both(void)
{
    fd = pair(l, port, &peer);
    if (fork() == 0) {
        must(write(fd, "child", 5) == 5, "write");
        _exit(0);
    }
    want("from the child", "child");
    wait(NULL);
    must(write(fd, "parent", 6) == 6, "write");
    want("from the parent", "parent");
    give("back");
    echo();
    want("echo", "back");
    close(fd);
    want("end", "");
    done();
}

static void two(void)
{
    fd = pair(l, port, &peer);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            nap(20 * (i + 1));
            must(write(fd, "x", 1) == 1, "write");
            _exit(0);
        }
    close(fd);
    want("from two children", "xx");
    want("end", "");
    done();
}

static void grandchild(void)
{
    fd = pair(l, port, &peer);
    if (fork() == 0) {
        if (fork() == 0) {
            close(l);
            echo();
            _exit(0);
        }
        _exit(wait(NULL) < 0);
    }
    close(fd);
    nap(30);
    give("far down");
    want("echo", "far down");
    want("end", "");
    done();
}

static void inetd(void)
{
    fd = pair(l, port, &peer);
    if (fork() == 0) {
        dup2(fd, 0), dup2(fd, 1);
        close(fd), close(l);
        execl("/bin/cat", "cat", NULL);
        _exit(1);
    }
    close(fd);
    give("through cat");
    want("cat", "through cat");
    shutdown(peer, SHUT_WR);
    want("end", "");
    done();
}

int main(void)
{
    l = listener(AF_INET, &port);
    server();
    unread();
    bystander();
    closer();
    both();
    two();
    grandchild();
    interrupted();
    inetd();
    return 0;
}
