//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/* Which packets go to user space. doc.go tells the rules in words. */
#include "steer.h"

#define MAX_QUEUES 1024
#define MAX_LISTENERS 65536 /* ports of programs that connect among them */
#define MAX_CONNECTS 262144

/* Numbers of queues from here on are spurs (package spur): not the device's own, and reached from each of those. */
#define FIRST_SPUR 768

/* IPv4 addresses are kept as ::ffff:a.b.c.d, so that one key serves both families. */
struct address {
	__u32 word[4];
};

struct listener_key {
	struct address local; /* ::ffff:0.0.0.0 or :: stand for every address of the family */
	__be16 port;
	__u16 vlan; /* as in struct connect_key */
	__u8 proto, zero[3];
};

struct listener {
	__u32 flags;
	__u32 ifindex; /* of the VLAN device, 0: the device's own */
};

struct connect_key {
	struct address local, remote;
	__be16 local_port, remote_port;
	__u16 vlan; /* identifier of the tag, 0: none, or one with a priority alone */
	__u8 proto, zero;
};

#include "syns.h"

/* What user space tells about the device. All but the MAC address is a note of user space to
 * itself, for whoever adopts the pins or lists the programs. */
struct device {
	__u8 mac[6];
	__u8 generic, gro; /* gro: to be turned on again at the end */
	__u32 ifindex, zero;
	__u64 netns;
};

/* Why a packet went where it went. program.go has the names, in the same order. */
enum reason {
	NOT_OURS_PROTOCOL, /* not TCP over plain IPv4 or IPv6, with one 802.1Q tag at most: ARP, UDP, two tags, ... */
	OTHER_HOST,        /* for another MAC address, or to a group */
	MALFORMED,
	FRAGMENT,
	EXTENSION_HEADER,
	NO_ENTRY,
	FORWARDED,     /* a wildcard listener's port, but not an address of this host */
	KERNEL_SOCKET, /* the kernel has this connection */
	QUIET_SYN,
	QUIET_DROP,
	NO_QUEUE, /* ours, but no socket on the queue, or no such spur */
	ICMP_REDIRECTED,
	REDIRECTED,
	NO_LISTENER, /* SYN to a listener's port on which the kernel no longer listens, or to a leased one on which it does */
	SHARED_SYN,  /* for processes that listen there and have no queue: the kernel serves them */
	REASONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CONNECTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct connect_key);
	__type(value, __u32);
} connects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* The devices that spurs begin with, by number of queue. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} spurs SEC(".maps");

/* The cookies of the sockets at their ends: a note of user space for whoever adopts the pins. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u64);
} spur_ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} quiet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A connection as this host sees it, and what the packet at hand is to it. */
struct flow {
	struct connect_key key;
	bool v6;
	bool syn;  /* pure SYN */
	__be32 seq; /* of the segment */
	bool icmp; /* an ICMP error that quotes a packet of ours */
	struct listener entry; /* that covers it */
};

/* Parsers return a reason to pass the packet on, or OURS if the flow is filled in. */
enum { OURS = -1 };

/* Flags of a connect entry, as in entries.go. */
enum { TAKEN = 1 };

/* Flags of a listener entry, as in entries.go: SYNs only while the kernel listens there, only while it does not, or never. */
enum { LISTENS = 1, LISTENS_NOT = 2, NO_SYN = 4 };

/* And the kernel's share: of 256 new connections that many are for processes without a queue. */
#define SHARE(flags) ((flags) >> 8 & 0xff)

/* And of each entry, the spurs that lead to its program: how many, 0 if packets go to the socket of the queue they came by, and the first. */
#define SPURS(flags) ((flags) >> 24)
#define SPUR(flags) (FIRST_SPUR + ((flags) >> 16 & 0xff))
#define WAY(flags) ((flags) & 0xffff0000)

static __always_inline int count(__u32 reason, int verdict)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &reason);

	if (n)
		(*n)++;
	return verdict;
}

static __always_inline void set_v4(struct address *a, __be32 ip)
{
	a->word[0] = a->word[1] = 0;
	a->word[2] = __builtin_bswap32(0xffff);
	a->word[3] = ip;
}

static __always_inline void set_v6(struct address *a, const __be32 *ip)
{
	a->word[0] = ip[0];
	a->word[1] = ip[1];
	a->word[2] = ip[2];
	a->word[3] = ip[3];
}

static __always_inline int parse_tcp(struct flow *f, void *at, void *end)
{
	struct tcp_header *tcp = at;

	if ((void *)(tcp + 1) > end || tcp->offset >> 4 < 5)
		return MALFORMED;
	f->key.remote_port = tcp->src;
	f->key.local_port = tcp->dst;
	f->seq = tcp->seq;
	f->syn = (tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return OURS;
}

/* The quoted packet went out from here: its source is our side. An error quotes at least 8 octets
 * beyond the IP header, which hold the ports (RFC 792). */
static __always_inline int quoted_ports(struct flow *f, void *at, void *end)
{
	struct ports *p = at;

	if ((void *)(p + 1) > end)
		return MALFORMED;
	f->key.local_port = p->src;
	f->key.remote_port = p->dst;
	f->icmp = true;
	return OURS;
}

static __always_inline int parse_icmp4(struct flow *f, struct icmp_header *icmp, void *end)
{
	struct ipv4_header *ip = (void *)(icmp + 1);
	__u32 len;

	if ((void *)ip > end)
		return MALFORMED;
	/* destination unreachable, time exceeded, parameter problem */
	if (icmp->type != 3 && icmp->type != 11 && icmp->type != 12)
		return NOT_OURS_PROTOCOL;
	if ((void *)(ip + 1) > end)
		return MALFORMED;
	len = (ip->version_ihl & 15) * 4;
	if (ip->version_ihl >> 4 != 4 || len < sizeof(*ip))
		return MALFORMED;
	if (ip->protocol != PROTO_TCP || ip->frag & be16(0x1fff))
		return NOT_OURS_PROTOCOL;
	set_v4(&f->key.local, ip->src);
	set_v4(&f->key.remote, ip->dst);
	return quoted_ports(f, (void *)ip + len, end);
}

static __always_inline int parse_icmp6(struct flow *f, struct icmp_header *icmp, void *end)
{
	struct ipv6_header *ip = (void *)(icmp + 1);

	if ((void *)ip > end)
		return MALFORMED;
	/* unreachable, packet too big, time exceeded, parameter problem (RFC 4443) */
	if (icmp->type < 1 || icmp->type > 4)
		return NOT_OURS_PROTOCOL;
	if ((void *)(ip + 1) > end)
		return MALFORMED;
	if (ip->next != PROTO_TCP)
		return NOT_OURS_PROTOCOL;
	set_v6(&f->key.local, ip->src);
	set_v6(&f->key.remote, ip->dst);
	return quoted_ports(f, ip + 1, end);
}

static __always_inline int parse_ipv4(struct flow *f, struct ipv4_header *ip, void *end)
{
	__u32 len;

	if ((void *)(ip + 1) > end)
		return MALFORMED;
	len = (ip->version_ihl & 15) * 4;
	if (ip->version_ihl >> 4 != 4 || len < sizeof(*ip))
		return MALFORMED;
	if (ip->protocol != PROTO_TCP && ip->protocol != PROTO_ICMP)
		return NOT_OURS_PROTOCOL;
	if (ip->frag & be16(0x3fff)) /* offset or more-fragments */
		return FRAGMENT;
	if (ip->protocol == PROTO_ICMP)
		return parse_icmp4(f, (void *)ip + len, end);
	set_v4(&f->key.local, ip->dst);
	set_v4(&f->key.remote, ip->src);
	return parse_tcp(f, (void *)ip + len, end);
}

static __always_inline int parse_ipv6(struct flow *f, struct ipv6_header *ip, void *end)
{
	if ((void *)(ip + 1) > end || *(__u8 *)ip >> 4 != 6)
		return MALFORMED;
	f->v6 = true;
	switch (ip->next) {
	case PROTO_TCP:
		set_v6(&f->key.local, ip->dst);
		set_v6(&f->key.remote, ip->src);
		return parse_tcp(f, ip + 1, end);
	case PROTO_ICMPV6:
		return parse_icmp6(f, (void *)(ip + 1), end);
	case 0: case 43: case 44: case 50: case 51: case 60: case 135:
		return EXTENSION_HEADER;
	}
	return NOT_OURS_PROTOCOL;
}

/* Frames for other hosts reach a bridge port or a promiscuous device; those are not for us. */
static __always_inline bool for_this_host(struct eth_header *eth)
{
	__u32 zero = 0;
	struct device *d = bpf_map_lookup_elem(&devices, &zero);

	return d && !__builtin_memcmp(eth->dst, d->mac, 4) && eth->dst[4] == d->mac[4] &&
	       eth->dst[5] == d->mac[5];
}

static __always_inline int parse(struct flow *f, void *data, void *end)
{
	struct eth_header *eth = data;
	struct vlan_tag *tag = (void *)(eth + 1);
	void *ip = tag;
	__be16 type;

	if (ip > end)
		return MALFORMED;
	type = eth->type;
	if (type == be16(ETH_VLAN)) {
		ip = tag + 1;
		if (ip > end)
			return MALFORMED;
		type = tag->type;
		f->key.vlan = be16(tag->control) & 0xfff;
	}
	if (type != be16(ETH_IPV4) && type != be16(ETH_IPV6))
		return NOT_OURS_PROTOCOL;
	if (!for_this_host(eth))
		return OTHER_HOST;
	f->key.proto = PROTO_TCP;
	if (type == be16(ETH_IPV4))
		return parse_ipv4(f, ip, end);
	return parse_ipv6(f, ip, end);
}

/* A wildcard listener hears every address of this host, and only of this host: the port of a
 * packet that is to be forwarded means nothing here. */
static __always_inline bool to_be_forwarded(struct xdp_md *ctx, struct flow *f)
{
	struct bpf_fib_lookup fib = {};
	int ret;

	fib.ifindex = f->entry.ifindex ? f->entry.ifindex : ctx->ingress_ifindex;
	if (f->v6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.src, &f->key.remote, 16);
		__builtin_memcpy(fib.dst, &f->key.local, 16);
	} else {
		fib.family = AF_INET;
		fib.src[0] = f->key.remote.word[3];
		fib.dst[0] = f->key.local.word[3];
	}
	ret = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return ret != BPF_FIB_LKUP_RET_NOT_FWDED && ret != BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline bool link_local(struct address *a)
{
	return (a->word[0] & __builtin_bswap32(0xffc00000)) == __builtin_bswap32(0xfe800000);
}

/* OURS if an entry covers the flow, else the reason. */
static __always_inline int find_entry(struct xdp_md *ctx, struct flow *f)
{
	struct listener_key l = { .local = f->key.local, .port = f->key.local_port, .vlan = f->key.vlan, .proto = PROTO_TCP };
	struct listener *entry;
	__u32 *flags;

	entry = bpf_map_lookup_elem(&listeners, &l);
	if (entry) {
		f->entry = *entry;
		return OURS;
	}
	flags = bpf_map_lookup_elem(&connects, &f->key);
	if (flags) {
		f->entry.flags = WAY(*flags);
		return OURS;
	}
	if (f->v6)
		l.local.word[0] = l.local.word[1] = l.local.word[2] = 0;
	l.local.word[3] = 0;
	entry = bpf_map_lookup_elem(&listeners, &l);
	/* Connections of link-local addresses are bound to their device, and kernel_has looks at the one below the VLAN's only. */
	if (!entry || (entry->ifindex && f->v6 && link_local(&f->key.local)))
		return NO_ENTRY;
	f->entry = *entry;
	/* An error that quotes us came to us. */
	if (!f->icmp && to_be_forwarded(ctx, f))
		return FORWARDED;
	return OURS;
}

/* What the kernel has for a flow. */
enum { NOTHING, LISTENER, CONNECTION };

/* The kernel's own table is the truth about which connections are the kernel's. A listener does
 * not count there: it is for when we are not. */
static __always_inline int kernel_has(struct xdp_md *ctx, struct flow *f)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	int has;

	if (f->v6) {
		__builtin_memcpy(t.ipv6.saddr, &f->key.remote, 16);
		__builtin_memcpy(t.ipv6.daddr, &f->key.local, 16);
		t.ipv6.sport = f->key.remote_port;
		t.ipv6.dport = f->key.local_port;
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		t.ipv4.saddr = f->key.remote.word[3];
		t.ipv4.daddr = f->key.local.word[3];
		t.ipv4.sport = f->key.remote_port;
		t.ipv4.dport = f->key.local_port;
		sk = bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return NOTHING;
	has = sk->state == BPF_TCP_LISTEN ? LISTENER : CONNECTION;
	bpf_sk_release(sk);
	return has;
}

/* A connection that user space has just taken from the kernel: the kernel's socket stays for a moment,
 * deaf, so that packets on their way to it are not answered with a reset. */
static __always_inline bool taken(struct flow *f)
{
	__u32 *flags = bpf_map_lookup_elem(&connects, &f->key);

	return flags && *flags & TAKEN;
}

/* Whoever has an entry got it for a socket that he showed. If that socket is gone the port may be somebody else's by now. */
static __always_inline bool socket_gone(struct flow *f, int kernel)
{
	if (!f->syn)
		return false;
	if (f->entry.flags & NO_SYN)
		return true;
	return f->entry.flags & LISTENS ? kernel != LISTENER : f->entry.flags & LISTENS_NOT && kernel == LISTENER;
}

/* A number of 0 to 255 that belongs to a connection: a SYN that is repeated goes where the first one went. The device's own hash has
 * chosen the queue, so this must be another. The finish is that of MurmurHash3. */
static __always_inline __u32 lot(struct connect_key *k)
{
	__u32 h = k->remote_port << 16 | k->local_port;

	h = (h ^ k->remote.word[3]) * 0x9e3779b1;
	h = (h ^ k->remote.word[2] ^ k->remote.word[1]) * 0x9e3779b1;
	h ^= k->remote.word[0] ^ k->local.word[3];
	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	return h >> 24;
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 queue = ctx->rx_queue_index, spurs_of_it, *hush;
	struct flow f = {};
	int why, kernel, verdict, otherwise = XDP_PASS;

	why = parse(&f, data, end);
	if (why == OURS)
		why = find_entry(ctx, &f);
	if (why != OURS)
		return count(why, XDP_PASS);
	kernel = kernel_has(ctx, &f);
	if (kernel == CONNECTION && !taken(&f))
		return count(KERNEL_SOCKET, XDP_PASS);
	if (socket_gone(&f, kernel))
		return count(NO_LISTENER, XDP_PASS);
	if (f.syn && lot(&f.key) < SHARE(f.entry.flags))
		return count(SHARED_SYN, XDP_PASS);
	spurs_of_it = SPURS(f.entry.flags);
	if (spurs_of_it)
		queue = SPUR(f.entry.flags) + lot(&f.key) % spurs_of_it;
	hush = bpf_map_lookup_elem(&quiet, &queue);
	if (hush && *hush && !f.icmp) {
		if (f.syn && !repeated(&f.key, f.seq))
			return count(QUIET_SYN, XDP_PASS);
		/* The queue is changing hands: its connection lives, or will in a moment. The kernel would reset it. But of a SYN whose first
		 * went to a socket that is closed there is nothing left. */
		otherwise = f.syn ? XDP_PASS : XDP_DROP;
	}
	verdict = spurs_of_it ? bpf_redirect_map(&spurs, queue, otherwise) : bpf_redirect_map(&xsks, queue, otherwise);
	if (f.syn && verdict == XDP_REDIRECT)
		remember(&f.key, f.seq);
	if (verdict == XDP_PASS)
		return count(NO_QUEUE, verdict);
	if (verdict == XDP_DROP)
		return count(QUIET_DROP, verdict);
	return count(f.icmp ? ICMP_REDIRECTED : REDIRECTED, verdict);
}

char _license[] SEC("license") = "Dual BSD/GPL";
