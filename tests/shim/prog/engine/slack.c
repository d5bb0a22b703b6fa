// A program's threads keep the slack of their timers, and their children have it from them, though the engine's own threads are given another.
#include "../prog.h"

#include <sys/prctl.h>

static void look(const char *who)
{
    show(who, "%d", prctl(PR_GET_TIMERSLACK));
}

static void serve(const char *who)
{
    char b[8];
    int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
    must(write(peer, "ask", 3) == 3, "write");
    show(who, "read %zd", read(fd, b, sizeof b));
    look(who);
    close(fd), close(peer), close(l);
}

static void *thread(void *arg)
{
    look("thread");
    prctl(PR_SET_TIMERSLACK, 4321);
    serve("thread");
    prctl(PR_SET_TIMERSLACK, 0); // as it was made
    look("thread, as it began");
    return arg;
}

int main(void)
{
    int status;
    pthread_t t;
    alarm(60);
    look("began");
    prctl(PR_SET_TIMERSLACK, 123457);
    serve("first");
    must(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0, "thread");
    look("first");
    pid_t pid = fork();
    if (pid == 0) {
        look("child");
        serve("child");
        prctl(PR_SET_TIMERSLACK, 0);
        look("child, as it began");
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    show("child", "%x", status);
    prctl(PR_SET_TIMERSLACK, 2000000000); // more than the engine's
    pid = fork();
    if (pid == 0) {
        serve("patient child");
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    prctl(PR_SET_TIMERSLACK, 0);
    look("as it began");
    return 0;
}
