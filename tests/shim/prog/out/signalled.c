// A socket that asked for SIGIO before it connects gets it.
#include "../prog.h"

static volatile sig_atomic_t came;
static void note(int sig) { came = sig; }

int main(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    socklen_t n = sizeof to;
    int l = peer_socket(), fd = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(l, (void *)&to, n) == 0 && listen(l, 16) == 0 && getsockname(l, (void *)&to, &n) == 0, "listen");
    signal(SIGIO, note);
    must(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETFL, O_ASYNC) == 0, "signals");
    must(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    int other = accept(l, NULL, NULL);
    came = 0;
    must(other >= 0 && write(other, "x", 1) == 1, "write");
    for (int i = 0; i < 100 && !came; i++)
        usleep(10000);
    show("signal", "%d", came);
    return 0;
}
