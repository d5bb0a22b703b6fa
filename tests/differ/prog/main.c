// Reads sequences from standard input, runs them one after another, and writes what each call gave. A sequence:
//
//	begin PATIENCE connected|accepted CONNECTIONS
//	NAME THREAD ARG...                  (THREAD 0: at once, in turn)
//	end
#include "differ.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int patience_ms = 10;
int own_port, peer_port;
const char *own_host, *peer_host;
static int listener = -1;
static char out[1 << 20];
static size_t out_len;

static void die(const char *what)
{
    fprintf(stderr, "differ: %s: %s\n", what, strerrorname_np(errno));
    _exit(3);
}

static void flush(void)
{
    for (size_t done = 0; done < out_len;) {
        ssize_t n = write(1, out + done, out_len - done);
        if (n <= 0)
            die("write");
        done += (size_t)n;
    }
    out_len = 0;
}

static void emit(const char *s)
{
    size_t n = strlen(s);
    if (out_len + n + 2 > sizeof out)
        flush();
    memcpy(out + out_len, s, n);
    out_len += n;
    out[out_len++] = '\n';
}

static const struct op *find(const char *name)
{
    const struct op *const lists[] = { data_ops, socket_ops, wait_ops, fd_ops, move_ops };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct op *o = lists[i]; o->name; o++)
            if (strcmp(o->name, name) == 0)
                return o;
    return NULL;
}

static void call(char *text)
{
    char *save, *name = strtok_r(text, " \n", &save);
    long a[ARGS + 1] = { 0 };
    char *word;
    for (int i = 0; i <= ARGS && (word = strtok_r(NULL, " \n", &save)); i++)
        a[i] = strtol(word, NULL, 0);
    const struct op *o = find(name);
    if (!o && strcmp(name, "join") != 0)
        errno = EINVAL, die(name);
    line_clear();
    if (!o)
        join_thread(a[1]);
    else if (a[0])
        on_thread(a[0], o, a + 1);
    else
        o->run(a + 1);
    emit(line());
    if (patience_ms > 20)
        nap_us(8000); // what a call sent has been answered, and the engine has looked at it: every 4 ms while calls are made
}

static int listen_anywhere(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t n = sizeof in;
    inet_pton(AF_INET, own_host, &in.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (void *)&in, sizeof in) != 0 || listen(fd, 64) != 0 || getsockname(fd, (void *)&in, &n) != 0)
        die("listen");
    own_port = ntohs(in.sin_port);
    return fd;
}

// serve_begin: the listener is polled until its queues have come, most often.
static void serve_begin(void)
{
    struct pollfd p = { .fd = listener, .events = POLLIN };
    for (int i = 0; i < 30; i++)
        poll(&p, 1, 0), nap_us(10000);
}

static int accepted(int conn)
{
    struct pollfd p = { .fd = listener, .events = POLLIN };
    if (peer(P_DIAL, conn, own_port).r != 0 || poll(&p, 1, 5000) != 1)
        die("dial");
    return accept(listener, NULL, NULL);
}

static int connected(int conn)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port) };
    inet_pton(AF_INET, peer_host, &in.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (void *)&in, sizeof in) != 0 || peer(P_ACCEPT, conn, 1000).r != 0)
        die("connect");
    return fd;
}

static void begin(const char *text)
{
    char how[16] = "";
    int conns = 0;
    if (sscanf(text, "begin %d %15s %d", &patience_ms, how, &conns) != 3)
        die("begin");
    peer(P_PATIENCE, 0, patience_ms);
    for (int i = 0; i < conns; i++)
        slot_set(i, how[0] == 'a' ? accepted(i) : connected(i));
    odd_fds();
}

static void finish(void)
{
    peer(P_RESET_ALL, 0, 0); // what blocks ends, and nothing goes to TIME-WAIT
    join_all();
    for (int i = 0; i < SLOTS; i++)
        slot_clear(i);
    odd_fds();
    emit("end");
    flush();
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "peer") == 0)
        return peer_main(argv[2]);
    if (argc != 3)
        return 2;
    own_host = argv[1], peer_host = argv[2], to_peer = 3, from_peer = 4;
    bound_init();
    peer_port = (int)peer(P_LISTEN, 0, 0).r;
    listener = listen_anywhere();
    serve_begin();
    static char text[512];
    while (fgets(text, sizeof text, stdin)) {
        if (strncmp(text, "begin", 5) == 0)
            begin(text);
        else if (strncmp(text, "end", 3) == 0)
            finish();
        else
            call(text);
    }
    return 0;
}
