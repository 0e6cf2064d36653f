/* SPDX-License-Identifier: MIT */
/* The headers of a packet in kernel memory, as the wire has them. */
#ifndef EBPF_PACKET_H
#define EBPF_PACKET_H

#include "kernel.h"
#include <bpf/bpf_endian.h>

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_DCCP 33
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_AH 51
#define PROTO_ICMPV6 58
#define PROTO_DESTINATION 60
#define PROTO_SCTP 132
#define PROTO_MOBILITY 135
#define PROTO_UDPLITE 136

/* Extension headers that are walked through; packets with more are reported without ports. */
#define IPV6_EXTENSIONS 8

struct ipv4_header {
	__u8 version_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment; /* 3 bits of flags, 13 of offset in units of 8 bytes */
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__u8 saddr[4];
	__u8 daddr[4];
};

struct ipv6_header {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__u8 saddr[16];
	__u8 daddr[16];
};

struct ipv6_extension {
	__u8 next;
	/* Units of 8 bytes beyond the first 8; of 4 beyond the first 8 in AH; reserved in a fragment header. */
	__u8 length;
	/* 13 bits of offset, then flags: in a fragment header only. */
	__be16 fragment;
};

/* Who talks to whom. */
struct packet_tuple {
	__u8 family;   /* AF_INET or AF_INET6; 0: no addresses */
	__u8 protocol; /* IPPROTO_*, that of the last header in IPv6 */
	__u8 icmp_type;
	__u8 icmp_code;
	__be16 sport;
	__be16 dport;
	/* IPv4 takes the first 4 bytes. */
	__u8 saddr[16];
	__u8 daddr[16];
};

enum packet_read {
	PACKET_NOT_IP = 1,   /* another protocol, or a header that is damaged or not in the linear part of the buffer */
	PACKET_FRAGMENT = 2, /* one of several */
	PACKET_NO_TRANSPORT = 4, /* no ports or type: a fragment other than the first, or the header is not there */
};

/* The linear part of a packet, from the network header on. */
struct packet_cursor {
	const unsigned char *at;
	const unsigned char *end;
};

static __always_inline bool packet_peek(struct packet_cursor *cursor, void *into, __u32 size)
{
	return cursor->at + size <= cursor->end && bpf_probe_read_kernel(into, size, cursor->at) == 0;
}

static __always_inline __u32 packet_read_transport(struct packet_cursor *cursor, struct packet_tuple *tuple)
{
	__be16 ports[2];
	__u8 icmp[2];

	switch (tuple->protocol) {
	case PROTO_TCP:
	case PROTO_UDP:
	case PROTO_UDPLITE:
	case PROTO_SCTP:
	case PROTO_DCCP:
		if (!packet_peek(cursor, ports, sizeof(ports)))
			return PACKET_NO_TRANSPORT;
		tuple->sport = ports[0];
		tuple->dport = ports[1];
		return 0;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		if (!packet_peek(cursor, icmp, sizeof(icmp)))
			return PACKET_NO_TRANSPORT;
		tuple->icmp_type = icmp[0];
		tuple->icmp_code = icmp[1];
		return 0;
	}
	return 0;
}

static __always_inline __u32 packet_read_ipv4(struct packet_cursor *cursor, struct packet_tuple *tuple)
{
	struct ipv4_header ip;
	__u16 fragment;
	__u32 length;

	if (!packet_peek(cursor, &ip, sizeof(ip)) || ip.version_length >> 4 != 4)
		return PACKET_NOT_IP;
	length = (ip.version_length & 0xf) * 4;
	if (length < sizeof(ip))
		return PACKET_NOT_IP;
	tuple->family = AF_INET;
	tuple->protocol = ip.protocol;
	__builtin_memcpy(tuple->saddr, ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(tuple->daddr, ip.daddr, sizeof(ip.daddr));
	fragment = bpf_ntohs(ip.fragment);
	if (fragment & 0x1fff)
		return PACKET_FRAGMENT | PACKET_NO_TRANSPORT;
	cursor->at += length;
	return packet_read_transport(cursor, tuple) | (fragment & 0x2000 ? PACKET_FRAGMENT : 0);
}

static __always_inline __u32 packet_read_ipv6(struct packet_cursor *cursor, struct packet_tuple *tuple)
{
	struct ipv6_header ip;
	__u32 result = 0;
	__u8 next;

	if (!packet_peek(cursor, &ip, sizeof(ip)) || (bpf_ntohl(ip.version_class_flow) >> 28) != 6)
		return PACKET_NOT_IP;
	tuple->family = AF_INET6;
	__builtin_memcpy(tuple->saddr, ip.saddr, sizeof(ip.saddr));
	__builtin_memcpy(tuple->daddr, ip.daddr, sizeof(ip.daddr));
	next = ip.next;
	cursor->at += sizeof(ip);
	for (int i = 0; i <= IPV6_EXTENSIONS; i++) {
		struct ipv6_extension extension;

		tuple->protocol = next;
		if (next != PROTO_HOP_BY_HOP && next != PROTO_ROUTING && next != PROTO_FRAGMENT && next != PROTO_AH &&
		    next != PROTO_DESTINATION && next != PROTO_MOBILITY)
			return result | packet_read_transport(cursor, tuple);
		if (!packet_peek(cursor, &extension, sizeof(extension)))
			break;
		if (next == PROTO_FRAGMENT) {
			result |= PACKET_FRAGMENT;
			cursor->at += 8;
			if (bpf_ntohs(extension.fragment) & 0xfff8) {
				tuple->protocol = extension.next;
				break;
			}
		} else {
			cursor->at += next == PROTO_AH ? (extension.length + 2) * 4 : (extension.length + 1) * 8;
		}
		next = extension.next;
	}
	return result | PACKET_NO_TRANSPORT;
}

/*
 * Reads from the network header on: the transport header's offset is not set yet in netfilter's early hooks.
 * `tuple` is zeroed by the caller; returns a set of enum packet_read.
 */
static __always_inline __u32 packet_read(struct sk_buff *skb, struct packet_tuple *tuple)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	struct packet_cursor cursor = {
		.at = head + BPF_CORE_READ(skb, network_header),
		.end = head + BPF_CORE_READ(skb, tail),
	};

	switch (bpf_ntohs(BPF_CORE_READ(skb, protocol))) {
	case ETH_P_IP:
		return packet_read_ipv4(&cursor, tuple);
	case ETH_P_IPV6:
		return packet_read_ipv6(&cursor, tuple);
	}
	return PACKET_NOT_IP;
}

#endif
