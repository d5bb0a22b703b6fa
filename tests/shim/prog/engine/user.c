// A program changes its user while it has connections: libc has each thread of the process do so, by a signal of its own, the engine's and ours, too.
#include "../prog.h"

#include <dirent.h>

// others counts the threads that are not that user's.
static int others(unsigned user)
{
    char path[300], line[300];
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    must(tasks != NULL, "opendir");
    for (struct dirent *d; (d = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/self/task/%s/status", d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "r"); // one that has ended has none
        unsigned real, effective = user;
        while (f && fgets(line, sizeof line, f) && sscanf(line, "Uid: %u %u", &real, &effective) != 2)
            ;
        if (f)
            fclose(f);
        n += effective != user;
    }
    closedir(tasks);
    return n;
}

static void talk(int fd, int peer)
{
    char b[8] = "";
    must(write(peer, "ask", 3) == 3, "write");
    show("read", "%zd %s", read(fd, b, sizeof b), b);
    show("write", "%zd", write(fd, "answer", 6));
    show("answer", "%zd", recv(peer, b, 6, MSG_WAITALL));
}

int main(void)
{
    int port, l = listener(AF_INET, &port), peer, status, end[2], fd = pair(l, port, &peer);
    alarm(60);
    talk(fd, peer);
    must(pipe(end) == 0, "pipe");
    pid_t pid = fork(); // a child that has the connection, too: a thread of ours hears of it
    if (pid == 0) {
        close(end[1]);
        _exit(read(end[0], &status, 1) != 0);
    }
    for (int i = 0; i < 3; i++) {
        result("seteuid", seteuid(65534));
        show("others", "%d", others(65534));
        talk(fd, peer);
        result("seteuid", seteuid(0));
        show("others", "%d", others(0));
        talk(fd, peer);
    }
    close(end[1]);
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    show("child", "%x", status);
    return 0;
}
