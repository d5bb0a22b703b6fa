// A signal that comes to the parent while it forks is not the child's.
#include "../prog.h"

static int l, port, peer, fd;
static pid_t parent;
static pthread_t forker;
static _Atomic int over;
static volatile int strays;

static void handler(int sig)
{
    (void)sig;
    strays += getpid() != parent;
}

static void *storm(void *arg)
{
    struct timespec t = { 0, 20000 };
    while (!over) {
        pthread_kill(forker, SIGUSR1);
        nanosleep(&t, NULL);
    }
    return arg;
}

int main(void)
{
    pthread_t t;
    int sum = 0;
    l = listener(AF_INET, &port);
    fd = pair(l, port, &peer);
    parent = getpid();
    forker = pthread_self();
    sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = handler, .sa_flags = SA_RESTART }, NULL);
    must(pthread_create(&t, NULL, storm, NULL) == 0, "thread");
    for (int i = 0; i < 200; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(strays);
        must(pid > 0 && waitpid(pid, &status, 0) == pid, "child");
        sum += status != 0;
    }
    over = 1;
    pthread_join(t, NULL);
    show("children that were sent one", "%d", sum);
    char b[8] = "";
    must(write(peer, "hello", 5) == 5, "give");
    show("got", "%zd", recv(fd, b, 5, MSG_WAITALL));
    return 0;
}
