// The engine begins a thread at each getsockname (SLT_THREADS of the stand-in), also when the process may not begin any.
#include "../prog/prog.h"

#include <sys/resource.h>

static void *nothing(void *p) { return p; }

int main(void)
{
    int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    result("while it may", getsockname(fd, (void *)&in, &n));
    must(setresuid(65534, 65534, 65534) == 0, "setresuid");
    struct rlimit was, none;
    must(getrlimit(RLIMIT_NPROC, &was) == 0, "getrlimit");
    none = was, none.rlim_cur = 1;
    must(setrlimit(RLIMIT_NPROC, &none) == 0, "setrlimit");
    pthread_t t;
    show("the program's own", "%s", strerrorname_np(pthread_create(&t, NULL, nothing, NULL)));
    for (int i = 0; i < 4; i++)
        result("while it may not", getsockname(fd, (void *)&in, &n));
    must(setrlimit(RLIMIT_NPROC, &was) == 0, "setrlimit");
    for (int i = 0; i < 2; i++)
        result("again", getsockname(fd, (void *)&in, &n));
    must(setrlimit(RLIMIT_NPROC, &none) == 0, "setrlimit");
    for (int i = 0; i < 4; i++)
        result("not again", getsockname(fd, (void *)&in, &n));
    return 0;
}
