// Connections that nobody accepted end with their listener, and are nobody's who listens there later.
#include "../prog.h"

static void listen_again(int *l, int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = host(), .sin_port = htons((uint16_t)port) };
    int on = 1;
    *l = socket(AF_INET, SOCK_STREAM, 0);
    must(setsockopt(*l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "reuse");
    must(bind(*l, (void *)&in, sizeof in) == 0 && listen(*l, 8) == 0, "listen again");
}

int main(void)
{
    char b[8];
    int port, peer, l = listener(AF_INET, &port), fd = pair(l, port, &peer);
    close(peer);
    must(read(fd, b, sizeof b) == 0 && close(fd) == 0, "the first one"); // the peer ends it: no TIME-WAIT here
    int waiting = dial(port);
    nap(100); // it is in the queue
    close(l);
    struct pollfd p = { .fd = waiting, .events = POLLIN };
    result("the peer hears of it", poll(&p, 1, 15000));
    result("read", read(waiting, b, sizeof b));
    close(waiting);
    nap(300); // the queues go back
    int late = peer_socket();
    result("nobody listens", dial_to(late, port));
    close(late);
    listen_again(&l, port);
    p = (struct pollfd){ .fd = l, .events = POLLIN };
    result("nothing there", poll(&p, 1, 200));
    result("a new one", (fd = pair(l, port, &peer)) >= 0);
    result("write", write(peer, "new", 3));
    result("read", read(fd, b, sizeof b));
    return 0;
}
