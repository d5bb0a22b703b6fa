/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The few kernel and protocol definitions that steer.c uses, so that it needs no header of the
 * running kernel. The layouts are kernel ABI (linux/bpf.h) or RFCs. */
#ifndef STEER_H
#define STEER_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum { false, true };
typedef _Bool bool;

#define be16(x) ((__be16)__builtin_bswap16(x)) /* little-endian targets only */

/* --- kernel ABI --- */

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_REDIRECT = 4 };
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_XSKMAP = 17,
};
enum { BPF_F_CURRENT_NETNS = -1 };
enum { BPF_F_NO_PREALLOC = 1 };
enum { BPF_TCP_LISTEN = 10 };
enum { BPF_FIB_LKUP_RET_NOT_FWDED = 4, BPF_FIB_LKUP_RET_FWD_DISABLED = 5 };
enum { AF_INET = 2, AF_INET6 = 10 };

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol, mark, priority;
	__u32 src_ip4, src_ip6[4], src_port;
	__be16 dst_port;
	__u16 pad;
	__u32 dst_ip4, dst_ip6[4];
	__u32 state;
	__s32 rx_queue_mapping;
};

struct bpf_sock_tuple {
	union {
		struct {
			__be32 saddr, daddr;
			__be16 sport, dport;
		} ipv4;
		struct {
			__be32 saddr[4], daddr[4];
			__be16 sport, dport;
		} ipv6;
	};
};

struct bpf_fib_lookup {
	__u8 family, l4_protocol;
	__be16 sport, dport;
	__u16 tot_len;
	__u32 ifindex;
	__be32 flowinfo; /* or the TOS octet */
	__u32 src[4], dst[4];
	__u32 vlan;
	__u8 smac[6], dmac[6];
};

#include <bpf/bpf_helpers.h>

/* --- protocols --- */

enum { ETH_IPV4 = 0x0800, ETH_VLAN = 0x8100, ETH_IPV6 = 0x86dd };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_ICMPV6 = 58 };
enum { TCP_SYN = 0x02, TCP_ACK = 0x10 };

struct eth_header {
	__u8 dst[6], src[6];
	__be16 type;
};

/* What follows the addresses of a tagged frame and its type (IEEE 802.1Q). */
struct vlan_tag {
	__be16 control; /* 3 bits of priority, whether it may be dropped, 12 bits of identifier */
	__be16 type;
};

struct ipv4_header {
	__u8 version_ihl, tos;
	__be16 total, id, frag; /* frag: 3 flag bits, 13 bits of offset */
	__u8 ttl, protocol;
	__be16 check;
	__be32 src, dst;
};

struct ipv6_header {
	__be32 version_class_flow;
	__be16 payload;
	__u8 next, hops;
	__be32 src[4], dst[4];
};

struct tcp_header {
	__be16 src, dst;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window, check, urgent;
};

struct icmp_header {
	__u8 type, code;
	__be16 check;
	__be32 rest; /* the quoted packet follows */
};

struct ports {
	__be16 src, dst;
};

#endif
