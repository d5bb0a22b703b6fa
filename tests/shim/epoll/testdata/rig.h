/* What the scenarios share: connections, and printing what the program sees without any number that differs between runs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct scenario {
    const char *name;
    void (*run)(void);
};
extern const struct scenario basic[], calls[], threads[], life[], edges[];

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define SAY_ERR(call) say(#call " = %s", (call) < 0 ? strerrorname_np(errno) : "ok")

int listener(void);                 /* on 127.0.0.1, non-blocking */
int dial(int l, bool kernel);       /* a client of it; kernel: past the engine in any case */
int take(int l);                    /* accept, waiting until there is something */
struct pair {
    int srv, cli;
};
struct pair pair(void);             /* a fresh connection; srv non-blocking */
void put(int fd, const char *text); /* write it all */
void get(int fd);                   /* read what is there and print it */
void rst(int fd);                   /* close with RST */

int add(int ep, int fd, uint32_t events, uint64_t name); /* epoll_ctl */
int mod(int ep, int fd, uint32_t events, uint64_t name);
int del(int ep, int fd);
void show(int ep, int ms);                 /* epoll_wait, events sorted by name */
void show_max(int ep, int max, int times); /* which names came in this many calls with this maxevents */
const char *bits(uint32_t events);
void settle(void); /* let packets on the loopback arrive */
