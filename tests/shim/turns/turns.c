// Makes so many connections in turn, each a question, an answer and the server's end, and looks at what is left of them here: descriptors.
// Arguments: number, address, port.
#include <dirent.h>

#include "../prog/prog.h"

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    must(argc == 4, "arguments");
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[2]), .sin_port = htons((uint16_t)atoi(argv[3])) };
    int before = 0;
    for (long i = 0, n = atol(argv[1]); i < n; i++) {
        char b[8];
        struct sockaddr_in any = { .sin_family = AF_INET };
        int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
        must(fd == 3 || i > 0, "the lowest number");
        if (i % 3 == 1) // bound before, with a port of the kernel's choice
            must(bind(fd, (void *)&any, sizeof any) == 0, "bind");
        if (i % 3 == 2) { // bound without a port
            must(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) == 0, "no port");
            must(bind(fd, (void *)&any, sizeof any) == 0, "bind without a port");
        }
        must(connect(fd, (void *)&sa, sizeof sa) == 0, "connect");
        must(send(fd, "question", 8, 0) == 8, "send");
        must(recv(fd, b, 8, MSG_WAITALL) == 8, "recv");
        must(recv(fd, b, 8, 0) == 0, "end");
        must(close(fd) == 0, "close");
        if (i == 10)
            before = open_files();
    }
    int left = before ? open_files() - before : 0;
    show("descriptors left", "%s", left <= 64 ? "few" : "many"); // the engine has one for each block of ports
    return 0;
}
