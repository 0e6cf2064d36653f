// SPDX-License-Identifier: MIT
/* A map of every type that has a class of its own, beside those of sections.bpf.c. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct route {
	__u32 device;
	__u8 mac[6];
};

struct ipv4_prefix {
	__u32 length;
	__be32 address;
};

struct path_prefix {
	__u32 length;
	char path[32];
};

#define MAP(kind, map_name, key_type, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, 8); \
		__uint(map_flags, kind == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0); \
		__type(key, key_type); \
		__type(value, value_type); \
	} map_name SEC(".maps")

#define KEYLESS(kind, map_name, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, 8); \
		__type(value, value_type); \
	} map_name SEC(".maps")

#define STORAGE(kind, map_name, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, int); \
		__type(value, value_type); \
	} map_name SEC(".maps")

MAP(BPF_MAP_TYPE_LPM_TRIE, routes, struct ipv4_prefix, struct route);
MAP(BPF_MAP_TYPE_LPM_TRIE, paths, struct path_prefix, __u64);
KEYLESS(BPF_MAP_TYPE_QUEUE, queue, struct route);
KEYLESS(BPF_MAP_TYPE_STACK, stack, __u64);
KEYLESS(BPF_MAP_TYPE_BLOOM_FILTER, bloom, __u64);
STORAGE(BPF_MAP_TYPE_SK_STORAGE, per_socket, struct route);
STORAGE(BPF_MAP_TYPE_TASK_STORAGE, per_task, __u64);
MAP(BPF_MAP_TYPE_SOCKHASH, sockets, struct ipv4_prefix, __u64);
MAP(BPF_MAP_TYPE_SOCKMAP, socket_list, __u32, __u32);
MAP(BPF_MAP_TYPE_DEVMAP, devices, __u32, __u32);
MAP(BPF_MAP_TYPE_DEVMAP_HASH, devices_by_index, __u32, __u32);
MAP(BPF_MAP_TYPE_CPUMAP, cpus, __u32, __u32);
MAP(BPF_MAP_TYPE_XSKMAP, receivers, __u32, __u32);
MAP(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, group, __u32, __u64);
MAP(BPF_MAP_TYPE_STACK_TRACE, stacks, __u32, __u64[32]);
STORAGE(BPF_MAP_TYPE_INODE_STORAGE, per_inode, __u64);
STORAGE(BPF_MAP_TYPE_CGRP_STORAGE, per_cgroup, struct route);
MAP(BPF_MAP_TYPE_PROG_ARRAY, tail_calls, __u32, __u32);
MAP(BPF_MAP_TYPE_CGROUP_ARRAY, cgroups, __u32, __u32);
MAP(BPF_MAP_TYPE_PERF_EVENT_ARRAY, counters, __u32, __u32);

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, struct ipv4_prefix);
	__array(values, struct inner);
} tables SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner);
} table_list SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct route);
} attached SEC(".maps");

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *ctx)
{
	return 1;
}

char _license[] SEC("license") = "GPL";
