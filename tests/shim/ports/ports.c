// Connections whose local ports are looked at. Arguments: address, port. Each line of standard input is an order:
//
//	burst N   N connections in turn, each ended here first, so that its TIME-WAIT is ours: how many ports there were
//	bound N   the same from sockets that the kernel chose a port for before (bind, SO_REUSEADDR)
//	hold      one more connection, kept to the end
//	ask       a question over every kept one
//	drop      ends them
//	spread N  N connections at once, then their end
#include "../prog/prog.h"

static struct sockaddr_in sa;
static int kept[16], keeps;

static int reach(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(connect(fd, (void *)&sa, sizeof sa) == 0, "connect");
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    must(getsockname(fd, (void *)&at, &n) == 0 && at.sin_port != 0, "name");
    return ntohs(at.sin_port);
}

static void question(int fd)
{
    char b[8];
    must(send(fd, "question", 8, 0) == 8, "send");
    must(recv(fd, b, 8, MSG_WAITALL) == 8, "recv");
}

static void bound(int n)
{
    for (int i = 0; i < n; i++) {
        struct sockaddr_in any = { .sin_family = AF_INET };
        int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
        must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind(fd, (void *)&any, sizeof any) == 0, "bind");
        must(connect(fd, (void *)&sa, sizeof sa) == 0, "connect");
        question(fd);
        must(close(fd) == 0, "close");
    }
    show("bound", "%d", n);
}

static void burst(int n)
{
    static char used[65536];
    int ports = 0;
    for (int i = 0; i < n; i++) {
        int fd = reach(), port = port_of(fd);
        question(fd);
        ports += !used[port];
        used[port] = 1;
        must(close(fd) == 0, "close");
    }
    show("burst", "%d", ports);
}

static void spread(int n)
{
    static int fds[4096];
    for (int i = 0; i < n; i++)
        fds[i] = reach();
    for (int i = 0; i < n; i++)
        question(fds[i]);
    for (int i = 0; i < n; i++)
        must(close(fds[i]) == 0, "close");
    show("spread", "%d", n);
}

int main(int argc, char **argv)
{
    char line[64];
    must(argc == 3, "arguments");
    sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[1]), .sin_port = htons((uint16_t)atoi(argv[2])) };
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        int n = 0;
        if (sscanf(line, "burst %d", &n) == 1) {
            burst(n);
        } else if (sscanf(line, "bound %d", &n) == 1) {
            bound(n);
        } else if (sscanf(line, "spread %d", &n) == 1) {
            spread(n);
        } else if (strcmp(line, "hold\n") == 0) {
            kept[keeps++] = reach();
            show("hold", "%d", keeps);
        } else if (strcmp(line, "ask\n") == 0) {
            for (int i = 0; i < keeps; i++)
                question(kept[i]);
            show("ask", "%d", keeps);
        } else if (strcmp(line, "drop\n") == 0) {
            while (keeps > 0)
                close(kept[--keeps]);
            show("drop", "%d", keeps);
        }
    }
    return 0;
}
