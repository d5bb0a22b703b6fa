/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* A SYN that is repeated goes where the first one went: answered by two, its peer would acknowledge the answer of one to the other, which
 * resets it. */
#ifndef SYNS_H
#define SYNS_H

#define MAX_SYNS 4096
#define REPEATED_WITHIN 4000000000ull /* ns: peers repeat a SYN after 1 and after 3 s */

/* The last SYNs that went to user space, and when. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SYNS);
	__type(key, struct connect_key);
	__type(value, __u64);
} syns SEC(".maps");

static __always_inline void remember(struct connect_key *k)
{
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&syns, k, &now, 0);
}

static __always_inline bool repeated(struct connect_key *k)
{
	__u64 *at = bpf_map_lookup_elem(&syns, k);

	return at && bpf_ktime_get_ns() - *at < REPEATED_WITHIN;
}

#endif
