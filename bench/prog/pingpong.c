/*
 * pingpong: round trips by plain sockets. The same binary is measured on the kernel path and accelerated.
 *
 *   pingpong serve   ADDRESS PORT MODE
 *   pingpong call    ADDRESS PORT MODE SECONDS SIZE    over one connection
 *   pingpong connect ADDRESS PORT MODE SECONDS         each over a connection of its own: connect, a byte each way, close
 *
 * MODE is how a reader waits: block (in recv), epoll (in epoll_wait), spin (asks a non-blocking socket in a loop).
 * call and connect write their latencies to standard output, after a tenth of the time as warm-up: see struct took.
 */
#include "prog.h"

enum { MAX_SIZE = 65536 };
enum { LEAST = 100 }; /* latencies that a run has, however long they take */

static int flags; /* of recv */
static int ep = -1;

static void set_mode(const char *arg)
{
	if (strcmp(arg, "spin") == 0)
		flags = MSG_DONTWAIT;
	else if (strcmp(arg, "epoll") == 0) {
		flags = MSG_DONTWAIT;
		if ((ep = epoll_create1(0)) < 0)
			die("epoll_create1");
	} else if (strcmp(arg, "block") != 0) {
		fprintf(stderr, "pingpong: no such mode: %s\n", arg);
		exit(2);
	}
}

static void watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

/* some reads what comes next, waiting for it in the way of the mode; 0 is the end of the stream. */
static size_t some(int fd, char *p, size_t n)
{
	struct epoll_event e;
	for (;;) {
		if (ep >= 0 && epoll_wait(ep, &e, 1, -1) < 0 && errno != EINTR)
			die("epoll_wait");
		ssize_t r = recv(fd, p, n, flags);
		if (r >= 0)
			return (size_t)r;
		if (errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			die("recv");
	}
}

static bool get(int fd, char *p, size_t n)
{
	for (size_t r; n > 0; p += r, n -= r)
		if ((r = some(fd, p, n)) == 0)
			return false;
	return true;
}

/* Echoes whatever comes, one connection after the other. */
static _Noreturn void serve(struct addrinfo *ai)
{
	static char buf[MAX_SIZE];
	int l = listener(ai, 0);
	for (;;) {
		int c = accept(l, NULL, NULL);
		if (c < 0)
			die("accept");
		no_delay(c);
		watch(c);
		for (size_t r; (r = some(c, buf, sizeof buf)) > 0;)
			put(c, buf, r);
		close(c);
	}
}

static uint64_t round_trip(int fd, char *buf, size_t size)
{
	uint64_t t = now_ns();
	put(fd, buf, size);
	if (!get(fd, buf, size)) {
		fprintf(stderr, "pingpong: the server closed\n");
		exit(1);
	}
	return now_ns() - t;
}

static uint64_t connection(struct addrinfo *ai)
{
	char buf[1] = {0};
	uint64_t t = now_ns();
	int fd = dial(ai);
	watch(fd);
	round_trip(fd, buf, 1);
	close(fd);
	return now_ns() - t;
}

static int call(struct addrinfo *ai, uint64_t time, size_t size, bool reconnect)
{
	static char buf[MAX_SIZE];
	struct took all = {0};
	int fd = -1;
	if (!reconnect)
		watch(fd = dial(ai));
	uint64_t begin = now_ns(), from = begin + time / 10, end = from + time, n = 0;
	for (uint64_t t = begin; t < end || all.n < LEAST;) {
		uint64_t ns = reconnect ? connection(ai) : round_trip(fd, buf, size);
		if (t >= from)
			took(&all, ns);
		t = now_ns();
		n++;
	}
	return tell(&all, n);
}

int main(int argc, char **argv)
{
	if (argc > 4)
		set_mode(argv[4]);
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		serve(resolve(argv[2], argv[3]));
	if (argc == 6 && strcmp(argv[1], "connect") == 0)
		return call(resolve(argv[2], argv[3]), seconds(argv[5]), 1, true);
	if (argc == 7 && strcmp(argv[1], "call") == 0) {
		long size = atol(argv[6]);
		if (size > 0 && size <= MAX_SIZE)
			return call(resolve(argv[2], argv[3]), seconds(argv[5]), (size_t)size, false);
	}
	fprintf(stderr, "usage: pingpong serve   ADDRESS PORT block|epoll|spin\n"
			"       pingpong call    ADDRESS PORT block|epoll|spin SECONDS SIZE\n"
			"       pingpong connect ADDRESS PORT block|epoll|spin SECONDS\n");
	return 2;
}
