// Calls whose connection comes to the engine in the moment between the two looks at where it is, again and again: kconn_enter and conn_here (--wrap) say so MOVES
// times. Each call is on a thread with little stack.
#include <sys/epoll.h>
#include <sys/sendfile.h>

#include "../../../shim/kconn.h"
#include "../prog/prog.h"

#define MOVES 5000

static int left; // moves to come

struct file *__real_kconn_enter(int fd);
struct file *__wrap_kconn_enter(int fd);
bool __wrap_conn_here(int fd);

struct file *__wrap_kconn_enter(int fd) { return left > 0 ? NULL : __real_kconn_enter(fd); }

bool __wrap_conn_here(int fd)
{
    (void)fd;
    return left > 0 && left--;
}

static int fd, ep, file, pipes[2];
static struct sockaddr_storage sa;
static socklen_t room = sizeof sa;
static int value = 1;

static long by_sendmsg(void)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec v = { "x", 1 };
    memcpy(CMSG_DATA(&control.h), &file, sizeof file);
    return sendmsg(fd, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control }, 0);
}

static long by_epoll(void) { return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN }); }
static long by_fcntl(void) { return fcntl(fd, F_GETFL) == O_RDWR ? 0 : -1; }
static long by_getpeername(void) { return getpeername(fd, (void *)&sa, &room); }
static long by_getsockname(void) { return getsockname(fd, (void *)&sa, &room); }
static long by_getsockopt(void) { return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &(socklen_t){ sizeof value }); }
static long by_ioctl(void) { return ioctl(fd, FIONREAD, &value); }
static long by_sendfile(void) { return sendfile(fd, file, NULL, 1); }
static long by_setsockopt(void) { return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value); }
static long by_shutdown(void) { return shutdown(fd, SHUT_WR); }
static long by_splice(void) { return splice(pipes[0], NULL, fd, NULL, 1, 0); }

static const struct {
    const char *name;
    long (*call)(void);
} calls[] = {
    { "epoll_ctl", by_epoll }, { "fcntl", by_fcntl }, { "getpeername", by_getpeername }, { "getsockname", by_getsockname }, { "getsockopt", by_getsockopt },
    { "ioctl", by_ioctl }, { "sendfile", by_sendfile }, { "sendmsg", by_sendmsg }, { "setsockopt", by_setsockopt }, { "splice", by_splice },
    { "shutdown", by_shutdown },
};

static void *play(void *i)
{
    left = MOVES;
    result(calls[(size_t)i].name, calls[(size_t)i].call());
    show("moves left", "%d", left);
    return NULL;
}

int main(int argc, char **argv)
{
    int both[2];
    pthread_t t;
    pthread_attr_t small;
    must(argc == 1 && socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0 && pipe(pipes) == 0 && write(pipes[1], "y", 1) == 1, "sockets");
    must((file = open(argv[0], O_RDONLY)) >= 0 && (ep = epoll_create1(0)) >= 0, "files");
    struct file *k = file_new(FD_KCONN);
    fd = both[0];
    must(k && fd_bind(fd, k), "bind");
    pthread_attr_init(&small);
    must(pthread_attr_setstacksize(&small, 128 << 10) == 0, "stack");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        must(pthread_create(&t, &small, play, (void *)i) == 0 && pthread_join(t, NULL) == 0, "thread");
    return 0;
}
