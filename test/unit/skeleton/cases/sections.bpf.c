// SPDX-License-Identifier: MIT
/* Variables in every section there can be, and maps of every class there is. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

struct limits {
	__u32 packets;
	__u64 bytes[2];
};

const volatile __u32 only_pid = 0;
const volatile bool verbose = true;
const volatile struct limits limits = {};
const volatile char device[16] = "lo";
const volatile int tuning SEC(".rodata.tuning") = 5;
__u64 seen;
struct limits used;
__be16 port = 80;
static int hidden;
__u64 threshold SEC(".data.config") = 10;
struct limits per_cpu[4] SEC(".bss.more");
/* Two sections, and one word in TypeScript. */
__u32 dotted SEC(".data.x.y") = 1;
__u64 underlined SEC(".data.x_y") = 2;

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF __kconfig __weak;

#define MAP(kind, map_name, key_type, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, 8); \
		__type(key, key_type); \
		__type(value, value_type); \
	} map_name SEC(".maps")

MAP(BPF_MAP_TYPE_HASH, hash, __u64, struct limits);
MAP(BPF_MAP_TYPE_LRU_HASH, lru_hash, char[16], __u8[6]);
MAP(BPF_MAP_TYPE_PERCPU_HASH, percpu_hash, __u32, struct limits);
MAP(BPF_MAP_TYPE_LRU_PERCPU_HASH, lru_percpu_hash, __u32, __u64);
MAP(BPF_MAP_TYPE_ARRAY, array, __u32, struct limits);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, percpu_array, __u32, __s64);
/* BTF does not know these types: bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(key_size, 6);
	__uint(value_size, 12);
} untyped SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_kill")
int on_kill(void *ctx)
{
	static int calls;

	calls++;
	hidden += tuning;
	per_cpu[0].packets++;
	seen += threshold + only_pid + verbose + limits.packets + device[0] + LINUX_KERNEL_VERSION + CONFIG_BPF;
	used.bytes[1] += port + dotted + underlined;
	return hidden + calls;
}

char _license[] SEC("license") = "GPL";
