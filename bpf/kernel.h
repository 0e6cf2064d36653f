/* SPDX-License-Identifier: MIT */
/*
 * What the shipped programs read of the kernel: only the members they use, in any order. CO-RE finds each at its place
 * in the running kernel, so that one object serves 5.10 and everything since. Names, not layouts, are what matters
 * here; a struct whose members changed has a flavour (name___why) beside it.
 */
#ifndef EBPF_KERNEL_H
#define EBPF_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

/* Since 5.15 (8520e224f547) a plain pointer; before, a word whose two low bits are flags. */
struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock_cgroup_data___before_5_15 {
	__u64 val;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct sock_cgroup_data sk_cgrp_data;
};

struct task_struct {
	int pid;
	int tgid;
	char comm[16];
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	unsigned int data_len;
	__u32 mark;
	__be16 protocol;
	__u16 network_header;
	/* An offset from `head` wherever eBPF's JITs run (64-bit kernels: NET_SKBUFF_DATA_USES_OFFSET). */
	unsigned int tail;
	unsigned char *head;
};

struct nf_hook_state {
	/* unsigned int until 5.12, then u8: read as a bit-field, which takes the width from the kernel. */
	__u8 hook;
	__u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct sock *sk;
	struct net *net;
};

struct minmax_sample {
	__u32 t;
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_rack {
	__u32 rtt_us;
};

struct tcp_sock {
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 segs_in;
	__u32 segs_out;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u32 total_retrans;
	__u32 srtt_us;
	__u32 mdev_us;
	__u32 snd_una;
	__u32 write_seq;
	__u32 snd_cwnd;
	__u32 mss_cache;
	struct minmax rtt_min;
	struct tcp_rack rack;
};

enum sock_flags {
	SOCK_DEAD,
	SOCK_DONE,
};

#pragma clang attribute pop

/* Levels of cgroups that a filter looks up through. */
#define CGROUP_LEVELS 16

/* The cgroup (v2) that a full socket belongs to; NULL when it has none. */
static __always_inline struct cgroup *socket_cgroup(struct sock *sk)
{
	struct sock_cgroup_data___before_5_15 *old;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	old = (void *)&sk->sk_cgrp_data;
	__u64 word = BPF_CORE_READ(old, val);
	/* With a flag set the word is net_cls and net_prio's, from cgroup v1, and the socket counts as the root's. */
	return word & 3 ? NULL : (struct cgroup *)word;
}

static __always_inline __u64 cgroup_id(struct cgroup *cgroup)
{
	return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* Whether `cgroup` is the one with this id, or below it. */
static __always_inline bool cgroup_within(struct cgroup *cgroup, __u64 id)
{
	for (int i = 0; i < CGROUP_LEVELS && cgroup; i++) {
		struct cgroup_subsys_state *parent;

		if (cgroup_id(cgroup) == id)
			return true;
		parent = BPF_CORE_READ(cgroup, self.parent);
		if (!parent)
			break;
		cgroup = (void *)parent - bpf_core_field_offset(struct cgroup, self);
	}
	return false;
}

/* Request and time-wait sockets are much smaller than struct sock: nothing past __sk_common may be read of those. */
static __always_inline bool is_full_socket(struct sock *sk)
{
	unsigned char state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state != 6 /* TCP_TIME_WAIT */ && state != 12 /* TCP_NEW_SYN_RECV */;
}

#endif
