// SPDX-License-Identifier: MIT
/* The maps of the bench; the loops in C (loops.c) have the same types. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 saddr;
	__u32 daddr;
	__u16 sport;
	__u16 dport;
	__u8 protocol;
};

struct counters {
	__u64 packets;
	__u64 bytes;
	__u32 last;
	__u16 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__type(key, struct flow);
	__type(value, struct counters);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 100000);
	__type(key, __u32);
	__type(value, struct counters);
} per_cpu SEC(".maps");

char _license[] SEC("license") = "GPL";
