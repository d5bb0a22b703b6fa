/*
 * crowd: many established connections, few of them in use.
 *
 *   crowd serve ADDRESS PORT PORTS                            one epoll instance, PORTS listeners from PORT on
 *   crowd call  ADDRESS PORT PORTS CONNECTIONS ACTIVE SECONDS
 *
 * call opens the connections, spread over the ports, then sends one byte on one of the ACTIVE ones, chosen at random, and
 * waits for the answer, again and again. It writes the latencies to standard output, after a tenth of the time as warm-up:
 * see struct took. With ACTIVE 0 it only holds the connections open.
 */
#include "prog.h"

#include <fcntl.h>
#include <sys/resource.h>

static void allow_files(void)
{
	struct rlimit r = {.rlim_cur = 300000, .rlim_max = 300000};
	if (setrlimit(RLIMIT_NOFILE, &r) < 0) {
		getrlimit(RLIMIT_NOFILE, &r);
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static struct addrinfo *nth(const char *host, const char *port, int i)
{
	char text[16];
	snprintf(text, sizeof text, "%d", atoi(port) + i);
	return resolve(host, text);
}

static void add(int ep, int fd, uint32_t kind)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | (uint32_t)fd};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

enum { LISTENER, CONNECTION };
enum { LEAST = 100 }; /* latencies that a run has, however long they take */

static void take_all(int ep, int l)
{
	for (int c; (c = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
		no_delay(c);
		add(ep, c, CONNECTION);
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		die("accept4");
}

static void echo(int c)
{
	char buf[256];
	ssize_t r = recv(c, buf, sizeof buf, 0);
	if (r > 0)
		put(c, buf, (size_t)r);
	else if (r == 0 || (errno != EAGAIN && errno != EINTR))
		close(c);
}

static _Noreturn void serve(const char *host, const char *port, int ports)
{
	struct epoll_event e[64];
	int ep = epoll_create1(0);
	if (ep < 0)
		die("epoll_create1");
	for (int i = 0; i < ports; i++)
		add(ep, listener(nth(host, port, i), SOCK_NONBLOCK), LISTENER);
	for (;;) {
		int n = epoll_wait(ep, e, 64, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)e[i].data.u64;
			if (e[i].data.u64 >> 32 == LISTENER)
				take_all(ep, fd);
			else
				echo(fd);
		}
	}
}

static uint64_t round_trip(int fd)
{
	char c = 0;
	uint64_t t = now_ns();
	put(fd, &c, 1);
	if (recv(fd, &c, 1, MSG_WAITALL) != 1)
		die("recv");
	return now_ns() - t;
}

/* open_all says on standard error when all are there: they were all accepted when the last has echoed. */
static int *open_all(const char *host, const char *port, int ports, long n)
{
	int *fds = calloc((size_t)n, sizeof *fds);
	if (!fds)
		die("calloc");
	for (int i = 0; i < ports; i++) {
		struct addrinfo *ai = nth(host, port, i);
		for (long k = i; k < n; k += ports)
			fds[k] = dial(ai);
	}
	for (long k = n - ports < 0 ? 0 : n - ports; k < n; k++)
		round_trip(fds[k]);
	fprintf(stderr, "open\n");
	return fds;
}

/* A reset each, so that nothing of them is left. */
static void close_all(int *fds, long n)
{
	struct linger now = {.l_onoff = 1};
	for (long i = 0; i < n; i++) {
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
		close(fds[i]);
	}
}

static int call(int *fds, long n, long active, uint64_t time)
{
	struct took all = {0};
	uint64_t begin = now_ns(), from = begin + time / 10, end = from + time, trips = 0;
	if (active == 0) {
		usleep((useconds_t)(time / 1000));
		close_all(fds, n);
		return 0;
	}
	srandom(1);
	for (uint64_t t = begin; t < end || all.n < LEAST; t = now_ns(), trips++) {
		uint64_t ns = round_trip(fds[random() % active * (n / active)]);
		if (t >= from)
			took(&all, ns);
	}
	close_all(fds, n);
	return tell(&all, trips);
}

int main(int argc, char **argv)
{
	allow_files();
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3], atoi(argv[4]));
	if (argc == 8 && strcmp(argv[1], "call") == 0) {
		int ports = atoi(argv[4]);
		long n = atol(argv[5]), active = atol(argv[6]);
		if (ports > 0 && n > 0 && active >= 0 && active <= n)
			return call(open_all(argv[2], argv[3], ports, n), n, active, seconds(argv[7]));
	}
	fprintf(stderr, "usage: crowd serve ADDRESS PORT PORTS\n"
			"       crowd call  ADDRESS PORT PORTS CONNECTIONS ACTIVE SECONDS\n");
	return 2;
}
