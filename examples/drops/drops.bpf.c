// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Packets that the kernel drops: why, in which network namespace, and who called. They are counted in the kernel, so that a flood
 * of them costs no more than a few do.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpf/number.h>

#define STACK_DEPTH 32

struct drop {
	/* enum skb_drop_reason of the running kernel: each version has other numbers. */
	__u32 reason;
	/* In `stacks`; negative where there was no room for one. */
	__s32 stack;
	/* Inode of the network namespace; 0 where the packet had neither a device nor a socket. */
	__u32 netns;
	__be16 protocol;
	__u16 unused;
};

typedef __u64 count EBPF_NUMBER;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct drop);
	__type(value, count);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* Drops that `drops` had no room for. */
count not_counted;

const volatile __u32 only_netns = 0;

static __always_inline __u32 netns_of(struct sk_buff *skb)
{
	if (skb->dev)
		return BPF_CORE_READ(skb, dev, nd_net.net, ns.inum);
	if (skb->sk)
		return BPF_CORE_READ(skb, sk, __sk_common.skc_net.net, ns.inum);
	return 0;
}

/* The third argument is there since Linux 5.17, and a fourth, the receiving socket, since 6.11. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, struct sk_buff *skb, void *location, __u32 reason)
{
	struct drop drop = {.reason = reason, .netns = netns_of(skb), .protocol = skb->protocol};
	count *seen, one = 1;

	if (only_netns && drop.netns != only_netns)
		return 0;
	drop.stack = bpf_get_stackid(ctx, &stacks, 0);
	seen = bpf_map_lookup_elem(&drops, &drop);
	if (!seen) {
		if (bpf_map_update_elem(&drops, &drop, &one, BPF_NOEXIST) == 0)
			return 0;
		seen = bpf_map_lookup_elem(&drops, &drop); /* another CPU was quicker, or there is no room */
	}
	__sync_fetch_and_add(seen ? seen : &not_counted, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
