// A child that was made past libc gives up its privileges, as vsftpd's: libc must not wait for threads that the child does not have.
#include "../prog.h"

#include <grp.h>
#include <sched.h>
#include <sys/syscall.h>

static int child(void *fd)
{
    char b[8] = "";
    result("setgroups", setgroups(0, NULL));
    result("setgid", setgid(65534));
    result("setuid", setuid(65534));
    show("read", "%zd %s", recv(*(int *)fd, b, 8, 0), b);
    show("write", "%zd", send(*(int *)fd, "answer", 6, 0));
    return 0;
}

int main(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int port, l = listener(AF_INET, &port);
    for (int way = 0; way < 2; way++) {
        int peer, status, fd = pair(l, port, &peer);
        char b[8] = "";
        must(write(peer, "ask", 3) == 3, "write");
        pid_t pid = way == 0 ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : clone(child, stack + sizeof stack, SIGCHLD, &fd);
        if (pid == 0)
            _exit(child(&fd));
        must(waitpid(pid, &status, 0) == pid, "waitpid");
        show("child", "%x", status);
        show("answer", "%zd %s", recv(peer, b, 6, MSG_WAITALL), b);
        close(fd), close(peer);
    }
    return 0;
}
