// getsockopt of every option there is: what the call returns, the length and the value.
#include "prog.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

// changing: the value tells of the moment, the machine or the socket's number; only result and length are compared.
static int changing(int level, int name)
{
    switch (level << 16 | name) {
#define OPT(level, name) case level << 16 | name:
    OPT(SOL_SOCKET, SO_COOKIE) OPT(SOL_SOCKET, SO_INCOMING_CPU) OPT(SOL_SOCKET, SO_INCOMING_NAPI_ID) OPT(SOL_SOCKET, SO_MEMINFO)
    OPT(SOL_SOCKET, SO_PEERNAME) OPT(SOL_SOCKET, SO_RCVBUF) OPT(SOL_SOCKET, SO_SNDBUF)
    OPT(IPPROTO_TCP, TCP_INFO) OPT(IPPROTO_TCP, TCP_TIMESTAMP) OPT(IPPROTO_TCP, TCP_CC_INFO) OPT(IPPROTO_TCP, TCP_FASTOPEN_KEY)
    OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP) OPT(IPPROTO_IP, 52 /* IP_PROTOCOL: the port */)
        return 1;
#undef OPT
    }
    return 0;
}

static void ask(const char *who, int fd, int level, int name, socklen_t room)
{
    unsigned char v[512];
    char key[64], hex[64] = "";
    socklen_t n = room;
    memset(v, 0, sizeof v);
    int r = getsockopt(fd, level, name, v, &n);
    snprintf(key, sizeof key, "%s %d/%d with %u", who, level, name, (unsigned)room);
    for (unsigned i = 0; r == 0 && !changing(level, name) && i < n && i < 24; i++)
        sprintf(hex + 2 * i, "%02x", v[i]);
    if (r < 0)
        show(key, "%s", strerrorname_np(errno));
    else
        show(key, "%u %s", (unsigned)n, hex);
}

static void all(const char *who, int fd)
{
    static const int levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6 };
    for (int i = 0; i < 4; i++)
        for (int name = 1; name < 100; name++) {
            if (levels[i] == IPPROTO_IP && name >= 35 && name < 49)
                continue; // multicast filters read their argument
            ask(who, fd, levels[i], name, 256);
            if (name < 90)
                ask(who, fd, levels[i], name, 4);
        }
    ask(who, fd, SOL_SOCKET, SO_LINGER, 8);
    ask(who, fd, SOL_SOCKET, SO_LINGER, 2);
    ask(who, fd, IPPROTO_TCP, TCP_NODELAY, 0);
    ask(who, fd, 999, 1, 4);
}
