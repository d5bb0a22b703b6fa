// Names, options and states.
#include "prog.h"

static void name_of(const char *what, int (*fn)(int, struct sockaddr *, socklen_t *), int fd, int port)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t n = sizeof sa;
    char text[64] = "";
    const char *offset = getenv("SLT_OFFSET");
    int r = fn(fd, (void *)&sa, &n);
    if (r == 0 && sa.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&sa)->sin6_addr, text, sizeof text);
    else if (r == 0)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&sa)->sin_addr, text, sizeof text);
    int got = ntohs(((struct sockaddr_in *)&sa)->sin_port) - (offset ? atoi(offset) : 0);
    show(what, "%d %d %s %d", r, (int)n, text, port == 0 || got == port);
    n = 4;
    result("short", fn(fd, (void *)&sa, &n));
    show("short length", "%d", (int)n);
}

static void option(const char *what, int fd, int level, int name)
{
    int v = -77;
    socklen_t n = sizeof v;
    int r = getsockopt(fd, level, name, &v, &n);
    show(what, "%d %d %d", r, v, (int)n);
}

static void all(int fd)
{
    option("type", fd, SOL_SOCKET, SO_TYPE);
    option("domain", fd, SOL_SOCKET, SO_DOMAIN);
    option("protocol", fd, SOL_SOCKET, SO_PROTOCOL);
    option("acceptconn", fd, SOL_SOCKET, SO_ACCEPTCONN);
    option("error", fd, SOL_SOCKET, SO_ERROR);
    option("keepalive", fd, SOL_SOCKET, SO_KEEPALIVE);
    option("nodelay", fd, IPPROTO_TCP, TCP_NODELAY);
    option("reuse", fd, SOL_SOCKET, SO_REUSEADDR);
    option("priority", fd, SOL_SOCKET, SO_PRIORITY);
    option("tos", fd, IPPROTO_IP, IP_TOS);
}

static void set(const char *what, int fd, int level, int name, int v)
{
    result(what, setsockopt(fd, level, name, &v, sizeof v));
    option(what, fd, level, name);
}

static void timeouts(int fd)
{
    struct timeval tv = { 1, 1500 };
    socklen_t n = sizeof tv;
    result("rcvtimeo", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    result("rcvtimeo", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &n));
    show("rcvtimeo", "%ld.%06ld %d", (long)tv.tv_sec, (long)tv.tv_usec, (int)n);
    tv.tv_usec = 2000000;
    result("bad", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    result("short", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, 3));
    tv = (struct timeval){ 0, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
}

static void queues(int fd, int peer)
{
    int n = -1;
    char b[8];
    must(write(peer, "12345", 5) == 5, "write");
    UNTIL(ioctl(fd, FIONREAD, &n) == 0 && n == 5);
    show("fionread", "%d", n);
    must(send(peer, "!", 1, MSG_OOB) == 1, "oob");
    UNTIL(ioctl(fd, FIONREAD, &n) == 0 && n == 5);
    struct pollfd p = { .fd = fd, .events = POLLPRI };
    UNTIL(poll(&p, 1, 0) == 1);
    result("atmark", sockatmark(fd));
    result("oob", recv(fd, b, 8, MSG_OOB));
    result("oob again", recv(fd, b, 8, MSG_OOB));
    result("before", recv(fd, b, 8, 0));
    result("atmark", sockatmark(fd));
    UNTIL(ioctl(fd, TIOCOUTQ, &n) == 0 && n == 0);
    show("outq", "%d", n);
    result("fionread listener", ioctl(fd, FIONREAD, &n));
}

int main(void)
{
    int port, peer, l = listener(AF_INET6, &port);
    set("listener keepalive", l, SOL_SOCKET, SO_KEEPALIVE, 1);
    option("listening", l, SOL_SOCKET, SO_ACCEPTCONN);
    name_of("listener name", getsockname, l, 0);
    int fd = pair(l, port, &peer);
    name_of("sockname", getsockname, fd, port);
    name_of("peername", getpeername, fd, 0);
    all(fd);
    set("nodelay", fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set("cork", fd, IPPROTO_TCP, TCP_CORK, 0);
    timeouts(fd);
    result("unknown", setsockopt(fd, IPPROTO_TCP, 9999, "aaaa", 4));
    queues(fd, peer);
    close(fd), close(peer);
    fd = pair(l, port, &peer);
    set("priority", fd, SOL_SOCKET, SO_PRIORITY, 3); // an option that only the kernel serves: the connection goes on there
    result("write", write(fd, "ok", 2));
    char b[4];
    result("read", read(peer, b, 4));
    result("shutdown both", shutdown(fd, SHUT_RDWR));
    result("peer end", read(peer, b, 4));
    result("shutdown bad", shutdown(fd, 7));
    result("getsockname bad", getsockname(fd, NULL, NULL));
    result("shutdown listener", shutdown(l, SHUT_RD));
    result("accept after", accept(l, NULL, NULL));
    return 0;
}
