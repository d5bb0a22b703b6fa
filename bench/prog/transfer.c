/*
 * transfer: one file over one TCP connection, or as much as fits into a time, by plain blocking sockets. The same binary
 * is measured on the kernel path and accelerated.
 *
 *   transfer serve|call ADDRESS PORT CONGESTION send FILE
 *   transfer serve|call ADDRESS PORT CONGESTION receive FILE BYTES
 *   transfer serve|call ADDRESS PORT CONGESTION flood CONNECTIONS
 *   transfer serve|call ADDRESS PORT CONGESTION drain SKIP-MS FOR-MS
 *
 * send sends a file and ends the stream; receive puts what comes into one of that size and prints the bytes that came
 * and the nanoseconds from the connection to the end of the stream. flood sends zeros on each of its connections until
 * the peers are gone; drain reads for SKIP-MS and then counts for FOR-MS what comes, and prints as receive does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 << 10 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;
	if (getaddrinfo(host, port, &hints, &ai) != 0) {
		fprintf(stderr, "transfer: bad address %s %s\n", host, port);
		exit(2);
	}
	return ai;
}

static int open_socket(struct addrinfo *ai, const char *congestion)
{
	int on = 1, fd = socket(ai->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		die("socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) < 0)
		die(congestion);
	return fd;
}

static int listen_at(struct addrinfo *ai, const char *congestion)
{
	int l = open_socket(ai, congestion);
	if (bind(l, ai->ai_addr, ai->ai_addrlen) < 0 || listen(l, 16) < 0)
		die("listen");
	return l;
}

static int accept_one(int l)
{
	int fd = accept(l, NULL, NULL);
	if (fd < 0)
		die("accept");
	return fd;
}

static int call(struct addrinfo *ai, const char *congestion)
{
	int fd = open_socket(ai, congestion);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		die("connect");
	return fd;
}

static char *map_file(const char *name, int prot, size_t *size)
{
	struct stat st;
	int fd = open(name, prot & PROT_WRITE ? O_RDWR | O_CREAT : O_RDONLY, 0644);
	if (fd < 0 || (prot & PROT_WRITE && ftruncate(fd, (off_t)*size) < 0) || fstat(fd, &st) < 0)
		die(name);
	*size = (size_t)st.st_size;
	char *p = mmap(NULL, *size, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	close(fd);
	return p;
}

static void report(uint64_t bytes, int64_t ns) { printf("%llu %lld\n", (unsigned long long)bytes, (long long)ns); }

static void send_file(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = send(fd, p, n < CHUNK ? n : CHUNK, MSG_NOSIGNAL);
		if (r < 0)
			die("send");
		p += r;
		n -= (size_t)r;
	}
	char c;
	if (shutdown(fd, SHUT_WR) < 0)
		die("shutdown");
	if (recv(fd, &c, 1, 0) != 0)
		die("the end of the peer's stream");
}

static void receive_file(int fd, char *p, size_t size)
{
	int64_t start = now_ns();
	size_t n = 0;
	for (;;) {
		char extra;
		ssize_t r = n < size ? recv(fd, p + n, size - n < CHUNK ? size - n : CHUNK, 0) : recv(fd, &extra, 1, 0);
		if (r < 0)
			die("recv");
		if (r == 0)
			break;
		n += (size_t)r;
	}
	report(n, now_ns() - start);
}

static char zeros[CHUNK];

static void *flood(void *arg)
{
	int fd = *(int *)arg;
	while (send(fd, zeros, sizeof zeros, MSG_NOSIGNAL) >= 0)
		;
	close(fd);
	return NULL;
}

static void drain(int fd, int64_t skip_ms, int64_t for_ms)
{
	static char buf[CHUNK];
	int64_t from = now_ns() + skip_ms * 1000000, began = 0;
	uint64_t n = 0;
	for (;;) {
		ssize_t r = recv(fd, buf, sizeof buf, 0);
		if (r <= 0)
			die("recv");
		int64_t now = now_ns();
		if (began == 0 && now >= from)
			began = now;
		else if (began != 0)
			n += (uint64_t)r;
		if (began != 0 && now - began >= for_ms * 1000000) {
			report(n, now - began);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 7 || (strcmp(argv[1], "serve") != 0 && strcmp(argv[1], "call") != 0)) {
		fprintf(stderr, "usage: see the head of bench/prog/transfer.c\n");
		return 2;
	}
	bool server = strcmp(argv[1], "serve") == 0;
	struct addrinfo *ai = resolve(argv[2], argv[3]);
	const char *action = argv[5];
	bool sends = strcmp(action, "send") == 0, receives = strcmp(action, "receive") == 0 && argc > 7;
	size_t size = receives ? strtoull(argv[7], NULL, 10) : 0;
	char *file = NULL;
	if (sends || receives) {
		file = map_file(argv[6], sends ? PROT_READ : PROT_READ | PROT_WRITE, &size);
		if (receives)
			memset(file, 0, size);
	}
	int l = server ? listen_at(ai, argv[4]) : -1;
	if (strcmp(action, "flood") == 0) {
		int n = atoi(argv[6]), fds[16];
		pthread_t t[16];
		if (n < 1 || n > 16)
			return 2;
		for (int i = 0; i < n; i++) {
			fds[i] = server ? accept_one(l) : call(ai, argv[4]);
			pthread_create(&t[i], NULL, flood, &fds[i]);
		}
		for (int i = 0; i < n; i++)
			pthread_join(t[i], NULL);
		return 0;
	}
	int fd = server ? accept_one(l) : call(ai, argv[4]);
	if (sends)
		send_file(fd, file, size);
	else if (receives)
		receive_file(fd, file, size);
	else if (strcmp(action, "drain") == 0 && argc > 7)
		drain(fd, atol(argv[6]), atol(argv[7]));
	else
		return 2;
	close(fd);
	return 0;
}
