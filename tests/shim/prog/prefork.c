// Servers that fork: children accept, and share what their parent accepted.
#include "prog.h"

static void serve(int l)
{
    char b[32];
    for (int i = 0; i < 2; i++) {
        int fd = accept(l, NULL, NULL);
        must(fd >= 0, "accept");
        ssize_t n = read(fd, b, sizeof b);
        must(n > 0 && write(fd, b, (size_t)n) == n, "echo");
        close(fd);
    }
    _exit(0);
}

int main(void)
{
    int port, status, l = listener(AF_INET, &port);
    char b[32] = "";
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0)
            serve(l);
        for (int i = 0; i < 2; i++) {
            int fd = -1;
            UNTIL((fd = peer_socket()) >= 0 && (dial_to(fd, port) == 0 || (close(fd), 0)));
            must(write(fd, "echo", 4) == 4, "write");
            show("echo", "%zd", recv(fd, b, 4, MSG_WAITALL));
            show("end", "%zd", recv(fd, b, 4, 0));
            close(fd);
        }
        waitpid(child, &status, 0);
        show("child", "%x", status);
    }
    int peer, fd = pair(l, port, &peer); // now the parent itself, and its children's children
    if (fork() == 0) {
        close(fd);
        if (fork() == 0)
            serve(l);
        wait(&status);
        _exit(WEXITSTATUS(status));
    }
    result("write", write(fd, "mine", 4));
    result("read", read(peer, b, 32));
    close(fd), close(peer);
    close(l);
    nap(50);
    for (int i = 0; i < 2; i++) {
        int c = -1;
        UNTIL((c = peer_socket()) >= 0 && (dial_to(c, port) == 0 || (close(c), 0)));
        must(write(c, "echo", 4) == 4, "write");
        show("echo", "%zd", recv(c, b, 4, MSG_WAITALL));
        close(c);
    }
    wait(&status);
    show("grandchild", "%x", status);
    return 0;
}
