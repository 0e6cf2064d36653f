// SPDX-License-Identifier: MIT
/* C names that mean something in TypeScript, or to the module itself, or that are very long. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

enum interface { constructor, __proto__, toString };
struct string {
	enum interface default_;
};
struct class
{
	int default_value;
	int function;
	int constructor;
	int __proto__;
	int new;
	struct string string;
};
struct Names {
	int taken_by_the_class;
};
struct HashMap {
	int taken_by_the_library;
};
struct Uint8Array {
	struct HashMap map;
	struct Names names;
};
typedef struct class type;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, type);
	__type(value, struct Uint8Array);
} delete SEC(".maps");

struct a_key_with_a_name_as_long_as_a_novel_about_it {
	int a_key;
};
struct a_value_with_a_name_as_long_as_a_novel_about_it {
	int a_value;
};
enum an_enum_with_a_name_as_long_as_a_novel_about_it { AN_ENUMERATOR };
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct a_key_with_a_name_as_long_as_a_novel_about_it);
	__type(value, struct a_value_with_a_name_as_long_as_a_novel_about_it);
} long_names SEC(".maps");

enum an_enum_with_a_name_as_long_as_a_novel_about_it typeof_;
int await, import, null;
struct {
	int x;
} load, constructor_;

SEC("xdp")
int return_(struct xdp_md *ctx)
{
	return await + import + null + load.x + constructor_.x + typeof_;
}

char _license[] SEC("license") = "GPL";
