/* SPDX-License-Identifier: MIT */
/*
 * Histograms: counts of values by their size, kept in the kernel.
 *
 *     #include "vmlinux.h"              // or <linux/bpf.h>, or nothing: this header then includes it
 *     #include <bpf/bpf_helpers.h>
 *     #include <ebpf/hist.h>
 *
 *     EBPF_HIST(latency);                                // by powers of two
 *     EBPF_HIST_BITS(fine, 3);                           // each power of two in 8 parts: percentiles to an eighth
 *     EBPF_LHIST(sizes, 0, 1500, 100);                   // by steps of 100 from 0 to 1500
 *     EBPF_HIST_HASH(by_process, __u32, 1024);           // one for each key, of up to 1024 keys
 *
 *     SEC("...")
 *     int program(...)
 *     {
 *             latency_add(nanoseconds);
 *             by_process_add(&pid, nanoseconds);
 *             ...
 *
 * They are read with histogram(object.maps.latency), histogram(object.maps.sizes, object.rodata.sizes_scale) and
 * histograms(object.maps.by_process), which give rows, percentiles and text. Needs Linux 5.2 (constants in .rodata), clang 14, and C.
 *
 * What is declared
 * ----------------
 *   EBPF_HIST(name)                          name, a BPF_MAP_TYPE_PERCPU_ARRAY whose one entry has the slots of each CPU
 *   EBPF_HIST_BITS(name, bits)               the same with 2^bits slots for each power of two; `bits` is a constant from 1 to 5
 *   EBPF_LHIST(name, low, high, step)        the same with slots of `step` from `low` on until `high` is reached, one for what is below,
 *                                            and one for what is above; the three are constants
 *   EBPF_HIST_HASH(name, key, most)          name, a BPF_MAP_TYPE_PERCPU_HASH of histograms, for up to `most` keys
 *   EBPF_HIST_BITS_HASH(name, key, most, bits)
 *   EBPF_LHIST_HASH(name, key, most, low, high, step)
 *
 *   void name_add(value)                     counts a value: a __u64; with EBPF_LHIST a __s64
 *   long name_add(const key *, value)        of a hash: 0, or -E2BIG where there is no room for a new key
 *
 *   name_scale                               of the linear ones: a constant in .rodata, { low, step }. It may be set before load; the
 *                                            number of slots stays, so that the end is then elsewhere
 *   name_lost                                of hashes: a global that counts the values that had no room
 *
 * Slots
 * -----
 *   ebpf_log2_slot(value)                    0 for 0 and 1, else the position of the highest bit: slot n has [2^n, 2^(n+1)). It is what bcc's
 *                                            bpf_log2l() and libbpf-tools' log2l() give. Of EBPF_LOG2_SLOTS
 *   ebpf_log2_bits_slot(value, bits)         0 to 2^bits - 1 each have a slot, and then each power of two has 2^bits of them, as bpftrace's
 *                                            hist(value, bits). Of EBPF_LOG2_BITS_SLOTS(bits)
 *   ebpf_linear_slot(value, low, step, slots)  0 below `low`, slots - 1 where no other is left; slot n has [low + (n-1)*step, low + n*step)
 * They are for maps of your own: a struct with a member `__u64 slots[EBPF_LOG2_SLOTS]`, a hash whose keys have a member `slot`, and arrays
 * with an entry for each slot are read as well. Whoever uses a slot as an index still has to bound it, for the verifier.
 *
 * Nothing is lost unseen
 * ----------------------
 * Each CPU counts in memory of its own, and yet with atomic additions: programs can be preempted by the same ones (all since 5.12 on
 * preemptible kernels, sleepable ones) or be interrupted on their CPU. There is a slot for every value. Only a key can find no room, and
 * then name_lost counts. The slot is found without branches, so that the verifier has one path to follow.
 */
#ifndef EBPF_HIST_H
#define EBPF_HIST_H

#ifndef __VMLINUX_H__ /* bpftool's vmlinux.h has the same types and cannot be mixed with the kernel's headers */
#include <linux/bpf.h>
#endif
#include <bpf/bpf_helpers.h>
#include <ebpf/number.h>

#define EBPF_LOG2_SLOTS 64
#define EBPF_LOG2_BITS_SLOTS(bits) ((65 - (bits)) << (bits))
/* One for each step, the last of which may end past `high`, and two for what is outside. */
#define EBPF_LINEAR_SLOTS(low, high, step) (((high) - (low) + (step) - 1) / (step) + 2)

/* Slots that fit a value of a per-CPU map (PCPU_MIN_UNIT_SIZE is 32 KiB). */
#define EBPF_MOST_SLOTS 4096

/* Of a histogram by powers of two. */
struct ebpf_log2 {
	__u64 slots[EBPF_LOG2_SLOTS] EBPF_NUMBER;
};

struct ebpf_linear_scale {
	__s64 low EBPF_NUMBER;
	__u64 step EBPF_NUMBER;
};

#define EBPF_HIST_INLINE_ static __always_inline __attribute__((unused))

/* Where the highest bit is; of 0 it is said to be at 0. All bits below it are set, and counted (a population count in parallel). */
EBPF_HIST_INLINE_ __u64 ebpf_log2_slot(__u64 value)
{
	value |= 1;
	value |= value >> 1;
	value |= value >> 2;
	value |= value >> 4;
	value |= value >> 8;
	value |= value >> 16;
	value |= value >> 32;
	value -= (value >> 1) & 0x5555555555555555ULL;
	value = (value & 0x3333333333333333ULL) + ((value >> 2) & 0x3333333333333333ULL);
	value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return ((value * 0x0101010101010101ULL) >> 56) - 1;
}

EBPF_HIST_INLINE_ __u64 ebpf_log2_bits_slot(__u64 value, __u32 bits)
{
	/* At least `bits`, as if the first power of two that is divided were the smallest. */
	__u64 shift = ebpf_log2_slot(value | (1ULL << bits)) - bits;

	return (shift << bits) + (value >> (shift & 63));
}

EBPF_HIST_INLINE_ __u64 ebpf_linear_slot(__s64 value, __s64 low, __u64 step, __u64 slots)
{
	__u64 slot;

	if (value < low)
		return 0;
	/* The difference of two __s64 is always a __u64. BPF divides by zero without harm, and gives zero. */
	slot = ((__u64)value - (__u64)low) / step;
	return slot < slots - 2 ? slot + 1 : slots - 1;
}

/* ---- Maps. ---- */

#define EBPF_HIST(name) \
	EBPF_HIST_ARRAY_(name, struct ebpf_log2); \
	EBPF_HIST_INLINE_ void name##_add(__u64 value) \
	{ \
		ebpf_hist_count_(ebpf_hist_one_(&name), sizeof(struct ebpf_log2), ebpf_log2_slot(value)); \
	} \
	struct ebpf_hist_semicolon_

#define EBPF_HIST_BITS(name, bits) \
	EBPF_HIST_BITS_VALUE_(name, bits); \
	EBPF_HIST_ARRAY_(name, struct ebpf_hist__##name); \
	EBPF_HIST_INLINE_ void name##_add(__u64 value) \
	{ \
		ebpf_hist_count_(ebpf_hist_one_(&name), sizeof(struct ebpf_hist__##name), \
				 ebpf_log2_bits_slot(value, bits)); \
	} \
	struct ebpf_hist_semicolon_

#define EBPF_LHIST(name, low_, high_, step_) \
	EBPF_LHIST_VALUE_(name, low_, high_, step_); \
	EBPF_HIST_ARRAY_(name, struct ebpf_hist__##name); \
	EBPF_HIST_INLINE_ void name##_add(__s64 value) \
	{ \
		ebpf_hist_count_(ebpf_hist_one_(&name), sizeof(struct ebpf_hist__##name), \
				 EBPF_LHIST_SLOT_(name, value)); \
	} \
	struct ebpf_hist_semicolon_

#define EBPF_HIST_HASH(name, key_type, most_keys) \
	EBPF_HIST_HASH_(name, key_type, most_keys, struct ebpf_log2); \
	EBPF_HIST_HASH_ADD_(name, key_type, __u64, struct ebpf_log2, ebpf_log2_slot(value))

#define EBPF_HIST_BITS_HASH(name, key_type, most_keys, bits) \
	EBPF_HIST_BITS_VALUE_(name, bits); \
	EBPF_HIST_HASH_(name, key_type, most_keys, struct ebpf_hist__##name); \
	EBPF_HIST_HASH_ADD_(name, key_type, __u64, struct ebpf_hist__##name, ebpf_log2_bits_slot(value, bits))

#define EBPF_LHIST_HASH(name, key_type, most_keys, low_, high_, step_) \
	EBPF_LHIST_VALUE_(name, low_, high_, step_); \
	EBPF_HIST_HASH_(name, key_type, most_keys, struct ebpf_hist__##name); \
	EBPF_HIST_HASH_ADD_(name, key_type, __s64, struct ebpf_hist__##name, EBPF_LHIST_SLOT_(name, value))

/* ---- From here on: not part of the interface. ---- */

#define EBPF_HIST_BITS_VALUE_(name, bits) \
	_Static_assert((bits) >= 1 && (bits) <= 5, "a power of two is divided by 1 to 5 bits"); \
	struct ebpf_hist__##name { \
		__u64 slots[EBPF_LOG2_BITS_SLOTS(bits)] EBPF_NUMBER; \
	}

#define EBPF_LHIST_VALUE_(name, low_, high_, step_) \
	_Static_assert((high_) > (low_) && (step_) > 0, "a linear histogram goes from low to high by steps"); \
	_Static_assert(EBPF_LINEAR_SLOTS(low_, high_, step_) <= EBPF_MOST_SLOTS, \
		       "more slots than a per-CPU map holds"); \
	struct ebpf_hist__##name { \
		__u64 linear_slots[EBPF_LINEAR_SLOTS(low_, high_, step_)] EBPF_NUMBER; \
	}; \
	const volatile struct ebpf_linear_scale name##_scale SEC(".rodata") = {(low_), (step_)}

#define EBPF_LHIST_SLOT_(name, value) \
	ebpf_linear_slot(value, name##_scale.low, name##_scale.step, sizeof(struct ebpf_hist__##name) / sizeof(__u64))

#define EBPF_HIST_ARRAY_(name, value_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1); \
		__type(key, __u32); \
		__type(value, value_type); \
	} name SEC(".maps")

/* The zeros of a new entry are a constant, as they may be more than the 512 bytes of a stack. */
#define EBPF_HIST_HASH_(name, key_type, most_keys, value_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH); \
		__uint(max_entries, most_keys); \
		__type(key, key_type); \
		__type(value, value_type); \
	} name SEC(".maps"); \
	static const value_type ebpf_hist_zero__##name SEC(".rodata"); \
	__u64 name##_lost EBPF_NUMBER

#define EBPF_HIST_HASH_ADD_(name, key_type, number_type, value_type, slot) \
	EBPF_HIST_INLINE_ long name##_add(const key_type *key, number_type value) \
	{ \
		value_type *hist = ebpf_hist_of_(&name, key, &ebpf_hist_zero__##name); \
\
		if (!hist) { \
			__sync_fetch_and_add(&name##_lost, 1); \
			return -7; /* E2BIG */ \
		} \
		ebpf_hist_count_((__u64 *)hist, sizeof(*hist), slot); \
		return 0; \
	} \
	struct ebpf_hist_semicolon_

EBPF_HIST_INLINE_ void *ebpf_hist_one_(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

/* The histogram of a key, made when it is the first; NULL where there is no room for it. */
EBPF_HIST_INLINE_ void *ebpf_hist_of_(void *map, const void *key, const void *zero)
{
	void *hist = bpf_map_lookup_elem(map, key);

	if (hist)
		return hist;
	/* Another CPU may make it first: then it is that one. */
	bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/*
 * The compiler knows that a slot is one of those there are, and would leave out the comparison by which the verifier does; the assembly
 * hides it.
 */
EBPF_HIST_INLINE_ void ebpf_hist_count_(__u64 *hist, __u64 size, __u64 slot)
{
	asm volatile("" : "+r"(slot));
	if (hist && slot < size / sizeof(__u64))
		__sync_fetch_and_add(&hist[slot], 1);
}

#endif
