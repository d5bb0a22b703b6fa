#include "ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "door.h"
#include "knobs.h"
#include "raw.h"
#include "refuse.h"

static bool is_tcp(int fd)
{
    int proto = 0;
    socklen_t n = sizeof proto;
    return RAW(SYS_getsockopt, fd, SOL_SOCKET, SO_PROTOCOL, &proto, &n) >= 0 && proto == IPPROTO_TCP;
}

static int port_of(const struct sockaddr *sa, socklen_t n)
{
    in_port_t port = 0; // at the same place in both families
    const struct sockaddr_in *at = (const void *)sa;
    if (n >= sizeof *at)
        memcpy(&port, &at->sin_port, sizeof port);
    return ntohs(port);
}

static bool is_bound(int fd)
{
    struct sockaddr_in6 own;
    socklen_t n = sizeof own;
    return RAW(SYS_getsockname, fd, &own, &n) < 0 || port_of((void *)&own, n) != 0;
}

bool ports_back(int fd, const struct sockaddr *sa, socklen_t n)
{
    int saved = errno;
    bool back = knobs.on && is_tcp(fd) && (sa || !is_bound(fd)) && !refuse_confined() && door_release(sa ? port_of(sa, n) : 0);
    errno = saved;
    return back;
}
