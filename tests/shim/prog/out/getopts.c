// Every option of a connected socket.
#include "../getopts.h"

int main(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(getenv("SLT_PEER_HOST")) };
    socklen_t n = sizeof to;
    int l = peer_socket(), fd = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(l, (void *)&to, sizeof to) == 0 && listen(l, 1) == 0 && getsockname(l, (void *)&to, &n) == 0, "listen");
    must(connect(fd, (void *)&to, sizeof to) == 0, "connect");
    int other = accept(l, NULL, NULL);
    all("connected", fd);
    close(fd), close(other);
    return 0;
}
