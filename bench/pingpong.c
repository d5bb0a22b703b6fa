/*
 * pingpong: round trips of SIZE bytes over one TCP connection, by plain
 * sockets. The same binary is measured on the kernel path and accelerated.
 *
 *   pingpong serve ADDRESS PORT [spin]
 *   pingpong call  ADDRESS PORT ROUNDS [SIZE [spin]]
 *
 * `call` prints one latency in nanoseconds a line, after a tenth of the
 * rounds as warm-up. `spin` uses a non-blocking socket in a loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SIZE = 65536 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reads n bytes; false at the end of the stream. */
static bool get(int fd, char *p, size_t n, int flags)
{
	while (n > 0) {
		ssize_t r = recv(fd, p, n, flags);
		if (r == 0)
			return false;
		if (r < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			die("recv");
		}
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static void put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
		if (r < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			die("send");
		}
		p += r;
		n -= (size_t)r;
	}
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;
	if (getaddrinfo(host, port, &hints, &ai) != 0) {
		fprintf(stderr, "pingpong: bad address %s %s\n", host, port);
		exit(2);
	}
	return ai;
}

/* Echoes whatever comes, one connection after the other. */
static void serve(struct addrinfo *ai, bool spin)
{
	static char buf[MAX_SIZE];
	int on = 1, l = socket(ai->ai_family, SOCK_STREAM, 0);
	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(l, ai->ai_addr, ai->ai_addrlen) < 0 || listen(l, 16) < 0)
		die("listen");
	puts("listening");
	fflush(stdout);
	for (;;) {
		int c = accept(l, NULL, NULL);
		if (c < 0)
			die("accept");
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		for (;;) {
			ssize_t r = recv(c, buf, sizeof buf, spin ? MSG_DONTWAIT : 0);
			if (r < 0 && (errno == EAGAIN || errno == EINTR))
				continue;
			if (r <= 0)
				break;
			put(c, buf, (size_t)r);
		}
		close(c);
	}
}

static int call(struct addrinfo *ai, long rounds, size_t size, bool spin)
{
	static char buf[MAX_SIZE];
	int on = 1, fd = socket(ai->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	long warm = rounds / 10;
	uint64_t *took = calloc((size_t)rounds, sizeof *took);
	if (!took)
		die("calloc");
	for (long i = -warm; i < rounds; i++) {
		uint64_t t = now_ns();
		put(fd, buf, size);
		if (!get(fd, buf, size, spin ? MSG_DONTWAIT : 0)) {
			fprintf(stderr, "pingpong: the server closed\n");
			return 1;
		}
		if (i >= 0)
			took[i] = now_ns() - t;
	}
	close(fd);
	for (long i = 0; i < rounds; i++)
		printf("%llu\n", (unsigned long long)took[i]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "serve") == 0)
		serve(resolve(argv[2], argv[3]), argc > 4);
	else if (argc >= 5 && strcmp(argv[1], "call") == 0) {
		long rounds = atol(argv[4]);
		long size = argc > 5 ? atol(argv[5]) : 1;
		if (rounds > 0 && rounds <= 10000000 && size > 0 && size <= MAX_SIZE)
			return call(resolve(argv[2], argv[3]), rounds, (size_t)size, argc > 6);
	}
	fprintf(stderr, "usage: pingpong serve ADDRESS PORT [spin]\n"
			"       pingpong call  ADDRESS PORT ROUNDS [SIZE [spin]]\n");
	return 2;
}
