/* What the programs of the benchmark share: errors, time, addresses, whole reads and writes. */
#ifndef PROG_H
#define PROG_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* seconds is an argument in seconds, in nanoseconds. */
static inline uint64_t seconds(const char *arg)
{
	double s = atof(arg);
	if (!(s > 0 && s <= 3600)) {
		fprintf(stderr, "not a number of seconds: %s\n", arg);
		exit(2);
	}
	return (uint64_t)(s * 1e9);
}

static inline struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;
	if (getaddrinfo(host, port, &hints, &ai) != 0) {
		fprintf(stderr, "bad address %s %s\n", host, port);
		exit(2);
	}
	return ai;
}

static inline int listener(struct addrinfo *ai, int type)
{
	int on = 1, l = socket(ai->ai_family, SOCK_STREAM | type, 0);
	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(l, ai->ai_addr, ai->ai_addrlen) < 0 || listen(l, 1024) < 0)
		die("listen");
	return l;
}

static inline void no_delay(int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline int dial(struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		die("connect");
	no_delay(fd);
	return fd;
}

/* put sends all of n bytes. */
static inline void put(int fd, const void *from, size_t n)
{
	for (const char *p = from; n > 0;) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			die("send");
		if (r > 0)
			p += r, n -= (size_t)r;
	}
}

/* Latencies in nanoseconds, up to what four bytes hold (4.3 s), written to standard output in native order. */
struct took {
	uint32_t *ns;
	size_t n, room;
};

static inline void took(struct took *t, uint64_t ns)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1 << 20;
		if (!(t->ns = realloc(t->ns, t->room * sizeof *t->ns)))
			die("realloc");
	}
	t->ns[t->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* tell writes them, and says on standard error how many there were with the warm-up. */
static inline int tell(struct took *t, unsigned long long all)
{
	fprintf(stderr, "%llu in all\n", all);
	return fwrite(t->ns, sizeof *t->ns, t->n, stdout) == t->n && fflush(stdout) == 0 ? 0 : 1;
}

#endif
