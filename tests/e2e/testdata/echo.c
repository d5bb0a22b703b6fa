/*
 * echo: requests and answers of all sizes, received and sent in all ways, each octet checked at both ends.
 *
 *   echo serve ADDRESS PORT SEED
 *   echo call  ADDRESS PORT SEED ROUNDS
 *
 * The octet at place n of the stream of requests is mix(n), of the stream of answers its complement: what is lost, repeated or out of order
 * shows. serve answers one connection after the other; a connection on which something is wrong ends it with status 1.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 4000 };

static uint32_t seed;
static uint32_t any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static uint8_t mix(uint64_t n) { return (uint8_t)(n * 2654435761u >> 13); }

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* What one end knows. */
struct end {
	int fd, ep;
	uint64_t in, out; /* places in the streams */
	uint8_t flip_in, flip_out;
};

static void ready(struct end *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};
	struct epoll_event v;
	switch (any(4)) {
	case 0:
		if (poll(&p, 1, -1) != 1 && errno != EINTR)
			die("poll");
		break;
	case 1:
		if (epoll_wait(e->ep, &v, 1, -1) != 1 && errno != EINTR)
			die("epoll_wait");
		break;
	}
}

/* some receives at most n octets in one way or another, and checks them; 0: the end. */
static size_t some(struct end *e, size_t n)
{
	static uint8_t buf[2 * MOST + 1];
	if (any(3) == 0)
		n = 1 + any((uint32_t)n);
	bool peek = any(20) == 0;
	ready(e);
	for (;;) {
		struct iovec v[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
		ssize_t r = any(5) == 0 && !peek ? readv(e->fd, v, 2) : recv(e->fd, buf, n, (any(4) ? MSG_DONTWAIT : 0) | (peek ? MSG_PEEK : 0));
		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (r < 0)
			die("recv");
		for (ssize_t i = 0; i < r; i++)
			if (buf[i] != (uint8_t)(mix(e->in + (uint64_t)i) ^ e->flip_in)) {
				fprintf(stderr, "octet %llu is not what was sent\n", (unsigned long long)(e->in + (uint64_t)i));
				exit(1);
			}
		if (peek && r > 0) {
			peek = false;
			continue;
		}
		e->in += (uint64_t)r;
		return (size_t)r;
	}
}

static void put(struct end *e, size_t n)
{
	uint8_t buf[MOST];
	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(mix(e->out + i) ^ e->flip_out);
	for (size_t done = 0; done < n;) {
		size_t k = any(4) ? n - done : 1 + any((uint32_t)(n - done));
		ssize_t r = any(3) ? send(e->fd, buf + done, k, MSG_NOSIGNAL | (any(30) ? 0 : MSG_MORE)) : write(e->fd, buf + done, k);
		if (r < 0 && errno != EINTR)
			die("send");
		done += r > 0 ? (size_t)r : 0;
	}
	e->out += n;
	int on = 1; /* what MSG_MORE held back */
	if (setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		die("TCP_NODELAY");
}

static struct end begin(int fd, uint8_t in, uint8_t out)
{
	struct end e = {.fd = fd, .ep = epoll_create1(0), .flip_in = in, .flip_out = out};
	struct epoll_event v = {.events = EPOLLIN};
	if (e.ep < 0 || epoll_ctl(e.ep, EPOLL_CTL_ADD, fd, &v) < 0)
		die("epoll_ctl");
	int on = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		die("TCP_NODELAY");
	return e;
}

static size_t size(void) { return any(2) ? 1 + any(64) : 1 + any(MOST); }

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *ai;
	int on = 1, fd;
	if (argc < 5 || getaddrinfo(argv[2], argv[3], &hints, &ai) != 0)
		return 2;
	seed = (uint32_t)atoi(argv[4]);
	if ((fd = socket(ai->ai_family, SOCK_STREAM, 0)) < 0)
		die("socket");
	if (strcmp(argv[1], "call") == 0) {
		if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
			die("connect");
		struct end e = begin(fd, 0xff, 0);
		for (int i = atoi(argv[5]); i > 0; i--) {
			size_t n = 0;
			for (uint32_t k = any(8) ? 1 : 1 + any(5); k > 0; k--) { /* sometimes several before an answer */
				size_t m = size();
				put(&e, m);
				n += m;
			}
			for (size_t r; n > 0; n -= r)
				if ((r = some(&e, n < MOST ? n : MOST)) == 0)
					die("the end, too early");
		}
		printf("%llu octets\n", (unsigned long long)e.in);
		return 0;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 8) < 0)
		die("listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c < 0)
			die("accept");
		struct end e = begin(c, 0, 0xff);
		for (size_t r; (r = some(&e, MOST)) > 0;)
			put(&e, r);
		close(e.ep);
		close(c);
	}
}
