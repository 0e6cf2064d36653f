// SPDX-License-Identifier: MIT
/* What generators of skeletons stumbled over, each in a map's value: see the comments. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <ebpf/number.h>

#define MAP_OF(type_name, map_name) \
	struct { \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(max_entries, 16); \
		__type(key, __u32); \
		__type(value, type_name); \
	} map_name SEC(".maps")

/* A byte that is only 0 or 1. */
struct bools {
	bool one;
	bool many[3];
};
MAP_OF(struct bools, bools);

/* An enum is of the sign and the size that its values need, and may hold what it does not name. */
enum unsigned_enum { UNSIGNED_ZERO, UNSIGNED_MAX = 0xffffffff };
enum signed_enum { SIGNED_MIN = -0x7fffffff - 1, SIGNED_ONE = 1 };
enum __attribute__((packed)) small_enum { SMALL = 200 };
/* Larger than 32 bits: BTF's enum64. */
enum large_enum { LARGE = 0x8000000000000000ULL };
enum large_signed_enum { LARGE_MIN = -0x7fffffffffffffffLL - 1, LARGE_ONE = 1 };
enum __attribute__((packed)) two_of_one_value { THIS = 1, SAME = 1 };
struct enums {
	enum unsigned_enum u;
	enum signed_enum s;
	enum small_enum small[2];
	enum large_enum large;
	enum large_signed_enum large_signed;
	enum two_of_one_value same;
	/* Anonymous, and through a typedef. */
	enum { INNER_A, INNER_B } inner;
};
MAP_OF(struct enums, enums);

/* Nothing in it. */
union empty_union {
};
struct empty {
	union empty_union nothing;
	struct {
	} neither;
	int something;
};
MAP_OF(struct empty, empties);

/* The last byte holds a bit-field, and sizeof counts bytes after it. */
struct trailing {
	__u32 whole;
	__u32 low : 3;
	int high : 5;
	__u64 wide : 40;
	bool flag : 1;
	__u32 : 7;
	__u32 after_padding : 2;
};
MAP_OF(struct trailing, trailing_bits);

struct __attribute__((packed)) packed {
	__u8 first;
	__u64 unaligned;
	__be16 port;
	char name[5];
};
MAP_OF(struct packed, packed);

/* The members of what has no name are its parent's. */
struct anonymous {
	int first;
	union {
		__u32 word;
		struct {
			__u16 low;
			__u16 high;
		};
		__u8 bytes[4];
	};
	struct {
		int named_inner;
	} inner;
	union {
		int a;
		float b;
	} choice[2];
};
MAP_OF(struct anonymous, anonymous);

/* No name anywhere: called after the map. */
MAP_OF(
	struct {
		int x;
		struct {
			int y;
		} deep;
	},
	nameless);

/* Two types of one name: a typedef's and a tag's. */
struct pair {
	int x, y;
};
typedef struct {
	struct pair pair;
	char text[8];
} pair;
MAP_OF(pair, pairs);

/* Addresses, whatever they point to; a struct that only exists as a declaration. */
struct pointers {
	void *any;
	struct pointers *self;
	struct undefined *opaque;
	int (*call)(int);
	const char *text;
};
MAP_OF(struct pointers, pointers);

struct numbers {
	__u8 u8;
	__s8 s8;
	char c;
	__s64 s64;
	__be64 be64;
	unsigned __int128 u128;
	double d;
	__u8 raw[6];
	__be32 addresses[4];
	int matrix[2][3];
	char lines[2][4];
};
MAP_OF(struct numbers, numbers);

/* 64 bits as numbers, where C says so. */
struct chosen {
	__u64 whole;
	__u64 small EBPF_NUMBER;
	__s64 list[2] EBPF_NUMBER;
	struct {
		__u64 inner EBPF_NUMBER;
	};
};
MAP_OF(struct chosen, chosen);
typedef __u64 small_count EBPF_NUMBER;
MAP_OF(small_count, small_counts);
__u64 total EBPF_NUMBER;
struct chosen largest EBPF_NUMBER;

/* Arrays without elements, between others and at the end; arrays that are larger than any stack. */
struct lengths {
	int before;
	__u64 none[0];
	char text[0];
	int after;
	struct pair pairs[0];
};
MAP_OF(struct lengths, lengths);
__u8 huge[1 << 24];
struct pair many[100000];
char lines_of_text[1000][80];

/* Bit-fields that begin in one unit and end in the next. */
struct __attribute__((packed)) crossing {
	__u8 lead : 3;
	__u64 all : 64;
	__u16 rest : 13;
	enum signed_enum below : 32;
	int last : 20;
};
MAP_OF(struct crossing, crossing);

/* Names behind names, with qualifiers in between; an array and an enum that have a typedef alone. */
typedef struct pair first_t;
typedef const first_t second_t;
typedef volatile second_t third_t;
typedef third_t some_t[3];
typedef enum { CHAIN_BELOW = -5, CHAIN_ABOVE = 5 } chain_t;
struct chained {
	third_t one;
	some_t more[2];
	const chain_t link;
};
MAP_OF(struct chained, chained);

/* Nameless within nameless, through several levels, of each kind. */
struct deep {
	union {
		struct {
			union {
				struct {
					int deepest;
				};
				__u8 as_bytes[4];
			};
			int beside;
		};
		__u64 whole;
	};
	struct {
		struct {
			struct {
				int lone;
			};
		};
	};
};
MAP_OF(struct deep, deep);

/* The kernel's own: to be left out. What holds them is written without them too. */
struct task_struct;
struct guarded {
	__u64 count;
	struct bpf_spin_lock lock;
	struct bpf_timer timer;
	struct task_struct __kptr *task;
};
MAP_OF(struct guarded, guarded);
struct guards {
	struct guarded two[2];
	__u32 rest;
};
MAP_OF(struct guards, guards);

/* A union is read with all its members, and written with one: in a key, a value, each CPU's value, a variable. */
struct endpoint {
	__u16 family;
	__be16 port;
	union {
		__be32 v4;
		__u8 v6[16];
	};
};
struct connection {
	struct endpoint ends[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 16);
	__type(key, struct endpoint);
	__type(value, struct connection);
} endpoints SEC(".maps");
MAP_OF(struct connection, connections);
struct endpoint latest;
struct {
	struct connection now;
	__u32 count;
} seen[2];

/* The same in maps without keys, in storage, and in keys of what is no data. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 16);
	__type(value, struct endpoint);
} waiting SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 16);
	__type(value, struct endpoint);
} known SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct endpoint);
} peers SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, struct endpoint);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("xdp")
int trap(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
