// SPDX-License-Identifier: MIT
/* A service's address, spread over its backends, before any packet is made: connections go straight to a backend. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct service {
	__be32 address;
	__be16 port;
	__u16 slot;
};

struct backend {
	__be32 address;
	__be16 port;
	__u16 count;
};

/* A service's slot 0 has the number of its backends, which are in the slots from 1 on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, struct backend);
} backends SEC(".maps");

__u64 balanced;

SEC("cgroup/connect4")
int balance(struct bpf_sock_addr *ctx)
{
	struct service key = {.address = ctx->user_ip4, .port = (__be16)ctx->user_port};
	struct backend *backend = bpf_map_lookup_elem(&backends, &key);

	if (!backend || !backend->count)
		return 1;
	key.slot = 1 + bpf_get_prandom_u32() % backend->count;
	backend = bpf_map_lookup_elem(&backends, &key);
	if (!backend)
		return 1;
	ctx->user_ip4 = backend->address;
	ctx->user_port = backend->port;
	__sync_fetch_and_add(&balanced, 1);
	return 1;
}

char _license[] SEC("license") = "GPL";
