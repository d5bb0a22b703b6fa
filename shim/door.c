// The broker, as far as the preload object talks to it by itself: opening the door, and fetching an inherited connection.
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "clock.h"
#include "fdmap.h"
#include "knobs.h"
#include "log.h"
#include "own.h"
#include "raw.h"
#include "real.h"
#include "text.h"

static _Atomic int door = -1;

int door_fd(void) { return atomic_load(&door); }

static int dial(void)
{
    int fd = (int)RAW(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    memcpy(sa.sun_path, knobs.broker, sizeof sa.sun_path);
    if (RAW_ON(SYS_connect, fd, &sa, sizeof sa) == 0)
        return fd;
    RAW(SYS_close, fd);
    return -1;
}

void door_open(void)
{
    if (door_fd() >= 0)
        return;
    int fd = dial();
    if (fd >= 0)
        own_move(fd, &door);
}

// door_renew leads the door, whose number the engine knows, to another broker.
static void door_renew(void)
{
    int fd = dial();
    if (fd < 0)
        return;
    RAW(SYS_dup3, fd, door_fd(), O_CLOEXEC);
    RAW(SYS_close, fd);
}

// A channel of this process's own, closed after one question.
struct channel {
    int fd;
    char reply[2048];
    int got; // the descriptor that came with the last reply, or -1
};

// send_with sends a line with one descriptor (fd >= 0) or with our credentials.
static bool send_with(int to, const char *line, int fd)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(struct ucred))]; } control = { .b = { 0 } };
    struct iovec v = { (void *)line, strlen(line) };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control };
    size_t len = fd >= 0 ? sizeof fd : sizeof(struct ucred);
    control.h.cmsg_level = SOL_SOCKET;
    control.h.cmsg_type = fd >= 0 ? SCM_RIGHTS : SCM_CREDENTIALS;
    control.h.cmsg_len = CMSG_LEN(len);
    struct ucred creds = { .pid = getpid(), .uid = geteuid(), .gid = getegid() };
    memcpy(CMSG_DATA(&control.h), fd >= 0 ? (void *)&fd : (void *)&creds, len);
    m.msg_controllen = CMSG_SPACE(len);
    return RAW_ON(SYS_sendmsg, to, &m, MSG_NOSIGNAL) == (long)v.iov_len;
}

static void take_fd(struct channel *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&c->got, CMSG_DATA(h), sizeof(int));
}

#define PATIENCE 20000000000 // ns: a busy machine takes its time; a broker that ended is noticed at once

// arrives waits for the next message. The program's signals are handled meanwhile, and change nothing.
static bool arrives(int fd, int64_t until)
{
    long r;
    do {
        int64_t left = until - now_ns();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        struct timespec limit = { left / 1000000000, left % 1000000000 };
        if (left <= 0)
            return false;
        r = RAW(SYS_ppoll, &p, 1, &limit, NULL, 0);
    } while (r == -EINTR);
    return r > 0;
}

// ask waits for the reply to request id: true if it is no refusal.
static bool ask_with(struct channel *c, const char *line, const char *id, int fd)
{
    if (!send_with(c->fd, line, fd))
        return false;
    for (int64_t until = now_ns() + PATIENCE;;) {
        if (!arrives(c->fd, until))
            return false;
        char control[256];
        struct iovec v = { c->reply, sizeof c->reply - 1 };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        long n = RAW(SYS_recvmsg, c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n <= 0)
            return false;
        c->reply[n] = 0;
        take_fd(c, &m);
        if (strstr(c->reply, "\"op\":\"reply\"") && strstr(c->reply, id))
            return strstr(c->reply, "\"error\"") == NULL;
    }
}

static bool ask(struct channel *c, const char *line, const char *id) { return ask_with(c, line, id, -1); }

// channel_open makes a channel of our own through the door.
static bool channel_open(struct channel *c)
{
    int pair[2];
    c->got = -1;
    if (RAW(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    c->fd = (int)RAW(SYS_fcntl, pair[0], F_DUPFD_CLOEXEC, own_base()); // out of the program's way
    if (c->fd >= 0)
        RAW(SYS_close, pair[0]);
    else
        c->fd = pair[0];
    bool sent = send_with(door_fd(), "{\"op\":\"open\"}", pair[1]);
    RAW(SYS_close, pair[1]);
    if (sent && ask(c, "{\"id\":1,\"op\":\"hello\",\"body\":{\"version\":2,\"program\":\"inherited\"}}", "\"id\":1"))
        return true;
    RAW(SYS_close, c->fd);
    return false;
}

// The processes whose connections this one may have inherited, the last ones first to go.
#define ANCESTORS 8
static struct ancestor {
    int pid;
    char token[32];
} ancestors[ANCESTORS];
static unsigned ancestor_next;

void door_remember(int owner, const char *token)
{
    struct ancestor *a = &ancestors[ancestor_next++ % ANCESTORS];
    a->pid = owner;
    memcpy(a->token, token, sizeof a->token - 1);
}

static const char *token_of(int owner)
{
    for (int i = 0; i < ANCESTORS; i++)
        if (ancestors[i].pid == owner)
            return ancestors[i].token;
    return "";
}

// want_once asks for a connection: its descriptor, or -1; *answered: a broker said so.
static int want_once(int owner, int handle, bool *answered)
{
    struct channel c;
    *answered = false;
    door_open();
    if (door_fd() < 0 || !channel_open(&c))
        return -1;
    struct text t = TEXT_INIT;
    text_num(text_add(&t, "{\"id\":2,\"op\":\"want\",\"body\":{\"pid\":"), owner);
    text_num(text_add(&t, ",\"handle\":"), handle);
    text_add(text_add(text_add(&t, ",\"token\":\""), token_of(owner)), "\"}}");
    c.reply[0] = 0;
    bool ok = ask(&c, t.s, "\"id\":2");
    *answered = ok || strstr(c.reply, "\"error\"");
    if (!ok)
        log_line(LOG_INFO, c.reply);
    RAW(SYS_close, c.fd);
    return ok ? c.got : -1;
}

// A broker that died may have a successor in a moment, and that the owner of the connection a moment later.
#define WANT_TRIES 30
#define WANT_PAUSE 100000000 // ns

static void want_pause(void)
{
    int64_t until = now_ns() + WANT_PAUSE;
    struct timespec at = { until / 1000000000, until % 1000000000 };
    RAW_ON(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int door_want(int owner, int handle)
{
    bool died = false;
    for (int i = 0;; i++) {
        bool answered;
        int fd = want_once(owner, handle, &answered);
        died = died || (!answered && door_fd() >= 0);
        if (fd >= 0 || !died || i == WANT_TRIES)
            return fd;
        if (!answered)
            door_renew();
        want_pause();
    }
}

void door_bare(int listener)
{
    struct channel c;
    if (door_fd() < 0 || !channel_open(&c))
        return;
    ask_with(&c, "{\"id\":2,\"op\":\"bare\"}", "\"id\":2", listener);
    RAW(SYS_close, c.fd);
}

int door_fetch(int listener, int port)
{
    struct channel c;
    if (door_fd() < 0 || !channel_open(&c))
        return -2;
    struct text t = TEXT_INIT;
    text_add(text_num(text_add(&t, "{\"id\":2,\"op\":\"fetch\",\"body\":{\"port\":"), port), "}}");
    bool ok = ask_with(&c, t.s, "\"id\":2", listener);
    RAW(SYS_close, c.fd);
    return ok ? c.got : -2;
}

bool door_release(int port)
{
    struct channel c;
    door_open();
    if (door_fd() < 0)
        return false;
    if (!channel_open(&c)) { // another broker, perhaps
        door_renew();
        if (!channel_open(&c))
            return false;
    }
    struct text t = TEXT_INIT;
    text_add(text_num(text_add(&t, "{\"id\":2,\"op\":\"release\",\"body\":{\"port\":"), port), "}}");
    bool ok = ask(&c, t.s, "\"id\":2");
    RAW(SYS_close, c.fd);
    return ok;
}
