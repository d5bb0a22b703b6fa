/*
 * calls: what a call costs that is none of the preload object's business, and what starting a program costs.
 *
 *   calls pass N             nanoseconds of read, write, recv, poll and epoll_wait that find nothing to do, mean of N calls
 *   calls start N [LIBRARY]  microseconds from posix_spawn of /bin/true to its end, each of N times; with LIBRARY preloaded
 */
#include "prog.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

static int zero, null, ep, pair[2];

static void do_read(void)
{
	char c;
	if (read(zero, &c, 1) != 1)
		die("read");
}

static void do_write(void)
{
	if (write(null, "", 1) != 1)
		die("write");
}

static void do_recv(void)
{
	char c;
	if (recv(pair[0], &c, 1, MSG_DONTWAIT) >= 0)
		die("recv");
}

static void do_poll(void)
{
	struct pollfd p = {.fd = pair[0], .events = POLLIN};
	if (poll(&p, 1, 0) != 0)
		die("poll");
}

static void do_epoll_wait(void)
{
	struct epoll_event e;
	if (epoll_wait(ep, &e, 1, 0) != 0)
		die("epoll_wait");
}

static void prepare(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	zero = open("/dev/zero", O_RDONLY);
	null = open("/dev/null", O_WRONLY);
	ep = epoll_create1(0);
	if (zero < 0 || null < 0 || ep < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &e) < 0)
		die("prepare");
}

static int pass(long n)
{
	static const struct {
		const char *name;
		void (*call)(void);
	} list[] = {{"read", do_read}, {"write", do_write}, {"recv", do_recv}, {"poll", do_poll}, {"epoll_wait", do_epoll_wait}};
	prepare();
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		for (long k = 0; k < n / 10; k++)
			list[i].call();
		uint64_t t = now_ns();
		for (long k = 0; k < n; k++)
			list[i].call();
		printf("%s %.2f\n", list[i].name, (double)(now_ns() - t) / (double)n);
	}
	return 0;
}

static int start(long n, const char *library)
{
	char preload[4096] = "";
	char *env[] = {NULL, NULL}, *argv[] = {"/bin/true", NULL};
	if (library) {
		snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
		env[0] = preload;
	}
	for (long i = 0; i < n; i++) {
		uint64_t t = now_ns();
		pid_t pid;
		int status;
		if (posix_spawn(&pid, argv[0], NULL, NULL, argv, env) != 0 || waitpid(pid, &status, 0) != pid || status != 0)
			die("start");
		printf("%.3f\n", (double)(now_ns() - t) / 1000);
	}
	return 0;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 0;
	if (n > 0 && argc == 3 && strcmp(argv[1], "pass") == 0)
		return pass(n);
	if (n > 0 && argc <= 4 && strcmp(argv[1], "start") == 0)
		return start(n, argc > 3 ? argv[3] : NULL);
	fprintf(stderr, "usage: calls pass N\n       calls start N [LIBRARY]\n");
	return 2;
}
