/* Asks shim/segment.c: for each question on standard input one answer on standard output.
 *
 *   question   struct sl_plain, what: 'R' or 'W' and n (uint32 each), then n octets: a packet (R) or a payload (W)
 *   answer     R: octets of payload that may be taken, 0: none; W: the packet */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../shim/segment.h"

static void get(void *p, size_t n)
{
	if (fread(p, 1, n, stdin) != n)
		exit(0);
}

int main(void)
{
	static uint8_t room[24 + SL_PLAIN_HEAD + 65536];
	for (;;) {
		struct sl_plain p;
		uint32_t what[2], n = 0;
		get(&p, sizeof p);
		get(what, sizeof what);
		uint8_t *at = what[0] == 'R' ? malloc(what[1] + 1) : room + 24 + SL_PLAIN_HEAD; /* to the octet, for the sanitizer */
		get(at, what[1]);
		if (what[0] == 'R') {
			struct segment g;
			n = segment_read(&p, at, what[1], &g) ? g.len : 0;
			free(at);
			fwrite(&n, 1, sizeof n, stdout);
		} else {
			segment_write(&p, at, what[1], p.sent_ns);
			fwrite(at - SL_PLAIN_HEAD, 1, SL_PLAIN_HEAD + what[1], stdout);
		}
		fflush(stdout);
	}
}
