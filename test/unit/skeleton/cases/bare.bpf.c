// SPDX-License-Identifier: MIT
/* Programs, and nothing else: no maps, no variables. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int accept_all(struct __sk_buff *skb)
{
	return -1;
}

/* Loaded where that is asked for: attach() needs no cgroup otherwise. */
SEC("?sockops")
int flows(struct bpf_sock_ops *ops)
{
	return 1;
}

SEC("kprobe")
int anywhere(void *ctx)
{
	return 0;
}

SEC("kprobe/tcp_connect")
int connect(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
