/*
 * threads: a server with a thread for each connection, as databases have it, and connections that are all in use.
 *
 *   threads serve ADDRESS PORT
 *   threads call  ADDRESS PORT CONNECTIONS SECONDS
 *
 * call keeps one message on its way on each connection, by epoll: as soon as an answer is there the next one leaves. It writes the latencies to
 * standard output, after a tenth of the time as warm-up: see struct took.
 */
#include "prog.h"

#include <pthread.h>

enum { MESSAGE = 64, CONNECTIONS = 1000 };

static void *echo(void *arg)
{
	char buf[MESSAGE];
	int c = (int)(intptr_t)arg;
	for (ssize_t r; (r = recv(c, buf, sizeof buf, 0)) > 0;)
		put(c, buf, (size_t)r);
	close(c);
	return NULL;
}

static _Noreturn void serve(struct addrinfo *ai)
{
	pthread_attr_t small;
	int l = listener(ai, 0);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 << 10);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	for (;;) {
		pthread_t t;
		int c = accept(l, NULL, NULL);
		if (c < 0)
			continue;
		no_delay(c);
		if ((errno = pthread_create(&t, &small, echo, (void *)(intptr_t)c)) != 0)
			die("pthread_create");
	}
}

struct conn {
	int fd;
	size_t got;
	uint64_t sent;
};

static void ask(struct conn *c)
{
	static const char message[MESSAGE];
	c->got = 0;
	c->sent = now_ns();
	put(c->fd, message, sizeof message);
}

/* answered tells whether the whole answer is there. */
static bool answered(struct conn *c)
{
	char buf[MESSAGE];
	ssize_t r = recv(c->fd, buf, sizeof buf - c->got, 0);
	if (r <= 0)
		die("recv");
	return (c->got += (size_t)r) == sizeof buf;
}

static int call(struct addrinfo *ai, int n, uint64_t time)
{
	static struct conn conns[CONNECTIONS];
	struct took all = {0};
	struct epoll_event e[64];
	int ep = epoll_create1(0);
	for (int i = 0; i < n; i++) {
		struct epoll_event in = {.events = EPOLLIN, .data.ptr = &conns[i]};
		conns[i].fd = dial(ai);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &in) < 0)
			die("epoll_ctl");
	}
	uint64_t begin = now_ns(), from = begin + time / 10, end = begin + time, now = begin, trips = 0;
	for (int i = 0; i < n; i++)
		ask(&conns[i]);
	while (now < end) {
		int k = epoll_wait(ep, e, 64, 10);
		if (k < 0 && errno != EINTR)
			die("epoll_wait");
		now = now_ns();
		for (int i = 0; i < k; i++) {
			struct conn *c = e[i].data.ptr;
			if (!answered(c))
				continue;
			trips++;
			if (now >= from)
				took(&all, now_ns() - c->sent);
			ask(c);
		}
	}
	return tell(&all, trips);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(resolve(argv[2], argv[3]));
	if (argc == 6 && strcmp(argv[1], "call") == 0 && atoi(argv[4]) > 0 && atoi(argv[4]) <= CONNECTIONS)
		return call(resolve(argv[2], argv[3]), atoi(argv[4]), seconds(argv[5]));
	fprintf(stderr, "usage: threads serve ADDRESS PORT\n"
			"       threads call  ADDRESS PORT CONNECTIONS SECONDS\n");
	return 2;
}
