// The broker is asked for an inherited connection while signals come all the time: one that is slow to accept, one that is slow to read, and one that has
// a successor after a second. It is a thread here.
#include <sys/time.h>
#include <sys/un.h>

#include "../../../shim/door.h"
#include "../../../shim/knobs.h"
#include "../prog/prog.h"

static int l = -1; // where the broker listens

static void tick(int sig) { (void)sig; }

static void often(int us)
{
    struct itimerval t = { { 0, us }, { 0, us } };
    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = tick }, NULL); // no SA_RESTART
    must(setitimer(ITIMER_REAL, &t, NULL) == 0, "timer");
}

static struct sockaddr_un place(void)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    memcpy(sa.sun_path, knobs.broker, sizeof sa.sun_path);
    return sa;
}

static void open_broker(int backlog)
{
    struct sockaddr_un sa = place();
    unlink(sa.sun_path);
    l = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    must(bind(l, (void *)&sa, sizeof sa) == 0 && listen(l, backlog) == 0, "broker");
}

// message reads the next one, and a descriptor with it. False: the end.
static int message(int from, char *text, size_t room, int *fd)
{
    char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
    struct iovec v = { text, room - 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(from, &m, 0);
    text[n < 0 ? 0 : n] = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); n > 0 && h; h = CMSG_NXTHDR(&m, h))
        if (h->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(h), sizeof *fd);
    return n > 0;
}

static void reply(int to, const char *text, int fd)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec v = { (void *)text, strlen(text) };
    memcpy(CMSG_DATA(&control.h), &fd, sizeof fd);
    sendmsg(to, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = fd >= 0 ? sizeof control : 0 }, MSG_NOSIGNAL);
}

// serve_door hands out one connection (a pipe's end will do).
static void serve_door(int door)
{
    char text[4096];
    int channel = -1, pipes[2];
    while (channel < 0 && message(door, text, sizeof text, &channel))
        ;
    must(channel >= 0 && message(channel, text, sizeof text, &channel) && strstr(text, "hello"), "hello");
    reply(channel, "{\"id\":1,\"op\":\"reply\"}", -1);
    must(message(channel, text, sizeof text, &channel) && strstr(text, "want") && pipe(pipes) == 0, "want");
    reply(channel, "{\"id\":2,\"op\":\"reply\"}", pipes[0]);
}

static void *accepts_late(void *arg)
{
    nap(300);
    close(accept(l, NULL, NULL)); // who was before
    serve_door(accept(l, NULL, NULL));
    return arg;
}

static void *reads_late(void *arg)
{
    int door = accept(l, NULL, NULL);
    nap(300);
    serve_door(door);
    return arg;
}

static void *has_a_successor(void *arg)
{
    close(accept(l, NULL, NULL));
    close(l);
    nap(1000);
    open_broker(8);
    serve_door(accept(l, NULL, NULL));
    return arg;
}

static void fill(int fd)
{
    static char junk[1024];
    while (send(fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
        ;
}

// ask is in a child: each begins without a door.
static void ask(const char *name, void *(*broker)(void *), int backlog, int first, int full)
{
    if (fork() == 0) {
        pthread_t t;
        sigset_t alarm;
        struct sockaddr_un sa = place();
        open_broker(backlog);
        must(!first || connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (void *)&sa, sizeof sa) == 0, "who was before");
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm, NULL);
        must(pthread_create(&t, NULL, broker, NULL) == 0, "thread");
        pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
        if (full) {
            door_open();
            fill(door_fd());
        }
        often(1000);
        show(name, door_want(1, 1) >= 0 ? "it came" : "none");
        _exit(0);
    }
    int status;
    must(wait(&status) > 0 && status == 0, "child");
}

int main(void)
{
    ask("slow to accept", accepts_late, 0, 1, 0);
    ask("slow to read", reads_late, 8, 0, 1);
    ask("a successor", has_a_successor, 8, 0, 0);
    return 0;
}
