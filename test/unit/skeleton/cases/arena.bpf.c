// SPDX-License-Identifier: MIT
/* Variables in an arena, which clang has in a section of their own. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16); /* pages */
} arena SEC(".maps");

struct node {
	struct node __arena *next;
	__u64 value;
};

struct node __arena root;
int __arena counter = 5;

SEC("syscall")
int count(void *ctx)
{
	asm volatile("" : : "r"(&arena)); /* says which arena it is */
	counter++;
	return root.value;
}

char _license[] SEC("license") = "GPL";
