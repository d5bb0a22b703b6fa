// A fork with few descriptors free: nobody waits for a lock, neither parent nor child, and with three the connection lives on. With fewer the
// engine has none for what the broker sends, and may lose it (docs/limits.md).
#include "../prog.h"

#include <sys/resource.h>

static void ask(int from, int to, const char *name)
{
    char b[8] = "";
    must(write(from, "hello", 5) == 5, "write");
    show(name, "%zd %s", recv(to, b, 5, MSG_WAITALL), b);
}

int main(void)
{
    struct rlimit few = { 256, 256 };
    must(setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
    int port, l = listener(AF_INET, &port), filler[256];
    nap(300); // most often the engine serves by then
    for (int left = 4; left >= 1; left--) {
        int far = dial(port), near = accept(l, NULL, NULL), n = 0;
        must(near >= 0, "accept");
        ask(far, near, "before");
        while (n < 256 && (filler[n] = dup(1)) >= 0)
            n++;
        must(n > left, "descriptors");
        for (int i = 0; i < left; i++)
            close(filler[--n]);
        pid_t child = fork();
        if (child == 0)
            _exit(7);
        int status = 0;
        must(child > 0 && waitpid(child, &status, 0) == child, "fork");
        show("child", "%d", WEXITSTATUS(status));
        while (n > 0)
            close(filler[--n]);
        if (left >= 3) {
            ask(far, near, "after");
            ask(near, far, "back");
        }
        close(near), close(far);
    }
    return 0;
}
