/*
 * bulk: as many bytes as one connection carries in one direction, by plain sockets.
 *
 *   bulk serve ADDRESS PORT
 *   bulk out   ADDRESS PORT SECONDS    the server sends, this end receives
 *   bulk in    ADDRESS PORT SECONDS    this end sends, the server receives
 *
 * out and in print the bytes that the receiver read and the nanoseconds they took.
 */
#include "prog.h"

enum { CHUNK = 128 << 10 };
static char buf[CHUNK];

/* drain reads to the end of the stream, or, with a limit, until then; it returns the bytes. */
static uint64_t drain(int fd, uint64_t until)
{
	uint64_t total = 0;
	for (ssize_t r; (r = recv(fd, buf, sizeof buf, 0)) != 0;) {
		if (r < 0 && errno == ECONNRESET)
			break;
		if (r < 0 && errno != EINTR)
			die("recv");
		if (r > 0)
			total += (uint64_t)r;
		if (until && now_ns() >= until)
			break;
	}
	return total;
}

/* pour sends until the peer goes away, or until then. */
static void pour(int fd, uint64_t until)
{
	while (!until || now_ns() < until)
		if (send(fd, buf, sizeof buf, MSG_NOSIGNAL) < 0) {
			if (errno == EPIPE || errno == ECONNRESET)
				return;
			if (errno != EINTR)
				die("send");
		}
}

static _Noreturn void serve(struct addrinfo *ai)
{
	int l = listener(ai, 0);
	for (;;) {
		int c = accept(l, NULL, NULL);
		char way;
		if (c < 0)
			die("accept");
		if (recv(c, &way, 1, 0) == 1) {
			if (way == 'o')
				pour(c, 0);
			else {
				uint64_t n = drain(c, 0);
				put(c, &n, sizeof n);
			}
		}
		close(c);
	}
}

static int report(uint64_t bytes, uint64_t ns)
{
	printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)ns);
	return 0;
}

static int out(int fd, uint64_t time)
{
	put(fd, "o", 1);
	drain(fd, now_ns() + time / 10);
	uint64_t begin = now_ns(), n = drain(fd, begin + time);
	return report(n, now_ns() - begin);
}

/* in takes the receiver's word for what came, and the time until that word. */
static int in(int fd, uint64_t time)
{
	uint64_t begin = now_ns(), n = 0;
	put(fd, "i", 1);
	pour(fd, begin + time);
	shutdown(fd, SHUT_WR);
	if (recv(fd, &n, sizeof n, MSG_WAITALL) != sizeof n)
		die("recv");
	return report(n, now_ns() - begin);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(resolve(argv[2], argv[3]));
	if (argc == 5 && strcmp(argv[1], "out") == 0)
		return out(dial(resolve(argv[2], argv[3])), seconds(argv[4]));
	if (argc == 5 && strcmp(argv[1], "in") == 0)
		return in(dial(resolve(argv[2], argv[3])), seconds(argv[4]));
	fprintf(stderr, "usage: bulk serve ADDRESS PORT\n       bulk out|in ADDRESS PORT SECONDS\n");
	return 2;
}
