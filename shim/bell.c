#include "bell.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "door.h"
#include "raw.h"

// A bell's segments are this long (broker/bare.go), less the timestamps if they are on.
#define BELL_MSS 1111
#define TIMESTAMPS 12

static int peer_port(int fd)
{
    struct sockaddr_in6 sa = { .sin6_family = AF_UNSPEC }; // the port is at the same place in both families
    socklen_t n = sizeof sa;
    return RAW(SYS_getpeername, fd, &sa, &n) < 0 ? -1 : ntohs(sa.sin6_port);
}

enum bell bell_answer(int listener, int fd, int flags)
{
    int mss = 0;
    socklen_t n = sizeof mss;
    if (RAW(SYS_getsockopt, fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &n) < 0 || (mss != BELL_MSS && mss != BELL_MSS - TIMESTAMPS))
        return BELL_NONE;
    int saved = errno, port = peer_port(fd), got = port > 0 ? door_fetch(listener, port) : -2;
    errno = saved;
    if (got == -2)
        return BELL_NONE;
    if (got < 0) {
        RAW(SYS_close, fd);
        return BELL_LATE;
    }
    RAW(SYS_dup3, got, fd, flags & SOCK_CLOEXEC ? O_CLOEXEC : 0);
    RAW(SYS_close, got);
    RAW(SYS_fcntl, fd, F_SETFL, O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    return BELL_ANSWERED;
}
