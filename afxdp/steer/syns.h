/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* A SYN that is repeated goes where the first one went: answered by two, its peer would acknowledge the answer of one to the other, which
 * resets it. */
#ifndef SYNS_H
#define SYNS_H

#define MAX_SYNS 4096
#define REPEATED_WITHIN 4000000000ull /* ns: peers repeat a SYN after 1 and after 3 s */

/* One that went to user space. Its number tells it from a new connection's by the same port (RFC 9293, section 3.4.1, has them differ). */
struct first_syn {
	__u64 at;
	__be32 seq;
	__u32 zero;
};

/* The last of them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SYNS);
	__type(key, struct connect_key);
	__type(value, struct first_syn);
} syns SEC(".maps");

static __always_inline void remember(struct connect_key *k, __be32 seq)
{
	struct first_syn s = { .at = bpf_ktime_get_ns(), .seq = seq };

	bpf_map_update_elem(&syns, k, &s, 0);
}

static __always_inline bool repeated(struct connect_key *k, __be32 seq)
{
	struct first_syn *s = bpf_map_lookup_elem(&syns, k);

	return s && s->seq == seq && bpf_ktime_get_ns() - s->at < REPEATED_WITHIN;
}

#endif
