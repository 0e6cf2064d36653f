/* SPDX-License-Identifier: MIT */
/*
 * Typed rings which count what they lose.
 *
 *     #include "vmlinux.h"              // or <linux/bpf.h>, or nothing: this header then includes it
 *     #include <bpf/bpf_helpers.h>
 *     #include <ebpf/events.h>
 *
 *     struct verdict { __u64 time_ns; __u32 pid; __s32 retval; };
 *     EBPF_RINGBUF(verdicts, struct verdict, 256 * 1024);
 *
 *     SEC("fexit/nf_hook_slow")
 *     int BPF_PROG(on_verdict, ...)
 *     {
 *             struct verdict *event = verdicts_reserve();
 *             if (!event)
 *                     return 0;         // no room: already counted as lost
 *             event->time_ns = bpf_ktime_get_ns();
 *             ...                       // fill EVERY field: a reserved record holds whatever was in the ring before
 *             verdicts_submit(event);
 *             return 0;
 *     }
 *
 * Needs Linux 5.8 (BPF_MAP_TYPE_RINGBUF) with BTF, clang 14, libbpf 1.1, and C: the zero-length array below is a GNU
 * extension that C++ front ends lay out differently.
 *
 * What EBPF_RINGBUF(name, record, bytes) declares
 * -----------------------------------------------
 *   name                     the ring, a BPF_MAP_TYPE_RINGBUF of `bytes` (a power of two and a multiple of the page size;
 *                            libbpf rounds up what is not, and the size can be set before load).
 *   ebpf_ring__<name>        a global in section .data.ebpf: the counters, and the record's type (see below).
 *   ebpf_ring_wakeup__<name> a constant in .rodata, set before load: when a consumer is woken (see "Wake-ups").
 *
 *   record *name_reserve(void)              room for one record, or NULL, which has been counted as lost
 *   record *name_reserve_size(constant)     the same for a record of another size, for example with a tail of fixed length;
 *                                           the verifier wants `constant` to be one at load time
 *   void name_submit(record *)              publishes a reserved record
 *   void name_submit_flags(record *, flags) the same with BPF_RB_NO_WAKEUP or BPF_RB_FORCE_WAKEUP, whatever the ring says
 *   void name_discard(record *)             gives a reserved record up: it is neither produced nor lost
 *   long name_output(data, size)            copies `size` bytes in as one record: for variable lengths (a record whose
 *                                           last member is a flexible array). 0, or -EAGAIN, which has been counted
 *   long name_output_flags(data, size, flags)
 *
 * The record type may be a struct, a union or a scalar. A struct may end in a flexible array: in one record it takes what
 * is left behind its offset, so output offsetof(record, tail) + length bytes.
 *
 * Several types of records on one ring
 * ------------------------------------
 * Make the record a union of structs that all begin with a member of one name and one enum type, and name the union's members as the
 * enumerators are named, without what those have in common and in lower case:
 *
 *     enum event_kind { EVENT_OPEN, EVENT_CLOSE };
 *     struct opened { enum event_kind kind; char path[64]; };
 *     struct closed { enum event_kind kind; __u64 bytes; };
 *     union event { struct opened open; struct closed close; };
 *     EBPF_RINGBUF(events, union event, 256 * 1024);
 *
 * Each record then reaches the reader as its own struct, told by its kind. Reserve no more than it takes:
 *     struct closed *event = (void *)events_reserve_size(sizeof(*event));
 *
 * Two source files linked into one object (bpftool gen object) share a ring: EBPF_RINGBUF in one of them, and
 * EBPF_RINGBUF_EXTERN(name, record, bytes) with the same arguments in the others.
 *
 * On kernels before 5.8
 * ---------------------
 * EBPF_EVENTS(name, record, bytes) declares a ring that becomes a perf event array, one perf buffer per CPU, where the kernel has no
 * ring buffers: the loader decides before load (ebpf_perf__<name> in .rodata), and the reader offers both alike. The program is
 * compiled once. Its helpers take the program's context, which perf buffers need:
 *
 *   record *name_reserve(void)              room for one record: in the ring, or in memory of this CPU that is copied at submit
 *   void name_submit(ctx, record *)
 *   void name_discard(record *)
 *   long name_output(ctx, data, size)
 *
 * Records of different CPUs then come in no order, a record may have up to 7 bytes of padding behind it, and what is sent before the
 * reader has opened its buffers is lost (and counted). The memory of a CPU is one record: a program that may interrupt
 * another on its CPU must not use the same ring.
 *
 * Perf buffers
 * ------------
 * EBPF_PERFBUF(name, record) declares a BPF_MAP_TYPE_PERF_EVENT_ARRAY whose records have a type, for what only such an array does: the
 * bytes of a packet behind a record, records of one CPU in a buffer of its own, buffers that overwrite what is oldest. How large the buffers are
 * is the reader's to say. The record may be a union, as on a ring.
 *
 *   long name_output(ctx, data, size)       sends `size` bytes as one record, to the buffer of this CPU. 0, or a negative errno: -ENOSPC where
 *                                           there is no room, -ENOENT where nobody reads; both have been counted as lost
 *   long name_output_flags(ctx, data, size, flags)
 *                                           the same with bpf_perf_event_output's flags: BPF_F_CURRENT_CPU or a CPU's number, and in the upper half
 *                                           how many bytes of the packet (of XDP, tc or a socket filter's context) go behind the record
 *
 * The array's name must not be that of another ring; a plain array of type BPF_MAP_TYPE_PERF_EVENT_ARRAY stays what it is, of records whose
 * type no one knows.
 *
 * Many rings
 * ----------
 * EBPF_RINGBUF_HASH(name, key, record, bytes, most) declares a hash of up to `most` rings, for example one for each tenant, and
 * EBPF_RINGBUF_ARRAY(name, record, bytes, most) an array of them (the key is a __u32), for example one for each CPU. The reader makes the
 * rings (`bytes` is what they hold unless it says otherwise), and takes them away. Each has counters of its own, in ebpf_counters__<name>. When
 * their reader is woken is chosen for all of them, by ebpf_ring_wakeup__<name> (see "Wake-ups"); what each ring shares with its reader
 * is in ebpf_control__<name>, by its key. A ring that somebody else puts there needs neither: the program makes both.
 *
 *   record *name_reserve(const key *)       room for one record in that ring; NULL when it is full (counted as lost), or not there (counted in
 *                                           ebpf_rings__<name>.unrouted: it belongs to no ring)
 *   record *name_reserve_size(const key *, constant)
 *   void name_submit(const key *, record *), name_submit_flags(const key *, record *, flags)
 *                                           with a threshold, name_submit looks the ring up once more, to see how much waits in it
 *   void name_discard(record *)
 *   long name_output(const key *, data, size), name_output_flags(const key *, data, size, flags)
 *                                           0, -EAGAIN (lost) or -ENOENT (no ring)
 *
 * Records from user space
 * -----------------------
 * EBPF_USER_RINGBUF(name, record, bytes) declares a BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1), which user space writes and programs drain:
 *
 *   long name_drain(callback, ctx)          calls long callback(struct bpf_dynptr *entry, void *ctx) for each record that is there, the oldest
 *                                           first, until it returns 1; returns how many, or -EBUSY when another CPU drains
 *   long name_read(entry, record *)         copies a record out of its entry: 0, or -E2BIG when the entry is smaller
 *   long name_read_at(entry, to, size, offset)
 *                                           `size` bytes of it from `offset` on: for what is behind members of fixed size
 *
 * A drain wakes the writer that waits for room. What the callback did not look at is drained all the same.
 *
 * What is counted, exactly
 * ------------------------
 *   produced   records that the program tried to hand over: submitted ones and lost ones (not: discarded ones)
 *   lost       those of them for which the ring had no room. Nothing else is ever lost: a ring buffer does not overwrite
 *   so         produced = delivered + lost + still in the ring
 * "Still in the ring" are records which were counted and not yet read; it is what remains, so it needs no counting.
 * The equation holds at every moment for a reader which reads `lost` before `produced`, both after what it delivered, since a
 * record is counted as produced before it can be read and before it can be counted as lost.
 * A ring's counters start at zero when its object is loaded and only ever grow.
 *
 * Each CPU adds to a slot of its own, in a cache line of its own. The additions are atomic all the same, because programs can
 * be preempted and migrate (sleepable ones, and all since 5.12 on preemptible kernels) or be interrupted, and because CPUs
 * beyond EBPF_RING_CPUS share slots: sums are exact. The section is a memory-mapped array, so that a
 * reader sums the slots without a system call.
 *
 * Why there is a record[0]: the type of a ring's records is nowhere else in the object's BTF, since helpers take void *.
 * A pointer member would do for libbpf, but clang emits only a forward declaration for what such a pointer points to.
 * The array has no elements, so it takes no room in the section.
 *
 * Wake-ups
 * --------
 * A wake-up is paid for by the traced side. ebpf_ring_wakeup__<name> chooses, per ring or for all rings of a map, before load:
 *   EBPF_WAKEUP_DEFAULT (0)  the kernel's adaptive way: wakes when the consumer has caught up with the very record that is
 *                            submitted, so at most one wake-up per record and none while the consumer is behind
 *   N bytes                  wakes once when N bytes wait in the ring (each record counts its size rounded up to 8, plus 8),
 *                            and again only after the consumer drained below N. More than half the ring counts as
 *                            half the ring. Fewer than N bytes stay until the consumer looks by itself: give it a timer
 *   EBPF_WAKEUP_NONE (~0)    never wakes: the consumer drains on a timer
 *   EBPF_WAKEUP_LIVE (~0-1)  one of the above, read for each record from ebpf_ring__<name>.control.wakeup, or of a map's ring from
 *                            ebpf_control__<name>[key].wakeup, which the reader may write at any time: for a reader that adapts
 * The value is constant once loaded, so the verifier removes the branches not taken and the default costs nothing.
 */
#ifndef EBPF_EVENTS_H
#define EBPF_EVENTS_H

#ifndef __VMLINUX_H__ /* bpftool's vmlinux.h has the same types and cannot be mixed with the kernel's headers */
#include <linux/bpf.h>
#endif
#include <bpf/bpf_helpers.h>

/* Slots per ring, a power of two. CPU n adds to slot n modulo this. */
#define EBPF_RING_CPUS 256

#define EBPF_WAKEUP_DEFAULT 0ULL
#define EBPF_WAKEUP_NONE (~0ULL)
#define EBPF_WAKEUP_LIVE (~0ULL - 1)

/* One CPU's share of a ring's counters; 64 bytes, so that CPUs do not share cache lines. */
struct ebpf_ring_counters {
	__u64 produced;
	__u64 lost;
	/* Bytes of the lost records, without the ring's own header. */
	__u64 lost_bytes;
	/* CLOCK_MONOTONIC of this CPU's latest loss, 0 before the first. */
	__u64 last_lost_ns;
} __attribute__((aligned(64)));

struct ebpf_ring_control {
	/* Written by the reader, used with EBPF_WAKEUP_LIVE only: DEFAULT, NONE or a number of bytes. */
	__u64 wakeup;
	/* Written by producers: 1 when fewer bytes wait than the threshold, so that reaching it wakes. */
	__u64 armed;
} __attribute__((aligned(64)));

#define EBPF_RINGBUF(ring_name, record_type, ring_bytes) \
	EBPF_RINGBUF_WAKEUP(ring_name, record_type, ring_bytes, EBPF_WAKEUP_DEFAULT)

/* The same with the value that ebpf_ring_wakeup__<name> has when nobody sets it. */
#define EBPF_RINGBUF_WAKEUP(ring_name, record_type, ring_bytes, wakeup_default) \
	struct { \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, ring_bytes); \
	} ring_name SEC(".maps"); \
	struct { \
		struct ebpf_ring_control control; \
		struct ebpf_ring_counters cpu[EBPF_RING_CPUS]; \
		record_type record[0]; \
	} ebpf_ring__##ring_name SEC(".data.ebpf"); \
	const volatile __u64 ebpf_ring_wakeup__##ring_name = wakeup_default; \
	EBPF_RINGBUF_HELPERS_(ring_name, record_type)

/* A ring, or where the kernel has none a perf event array. Not for several source files of one object. */
#define EBPF_EVENTS(ring_name, record_type, ring_bytes) \
	struct { \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, ring_bytes); \
	} ring_name SEC(".maps"); \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, 1); \
		__type(key, __u32); \
		__type(value, record_type); \
	} ebpf_scratch__##ring_name SEC(".maps"); \
	struct { \
		struct ebpf_ring_control control; \
		struct ebpf_ring_counters cpu[EBPF_RING_CPUS]; \
		record_type record[0]; \
	} ebpf_ring__##ring_name SEC(".data.ebpf"); \
	const volatile __u64 ebpf_ring_wakeup__##ring_name = EBPF_WAKEUP_DEFAULT; \
	const volatile __u32 ebpf_perf__##ring_name = 0; \
	EBPF_EVENTS_HELPERS_(ring_name, record_type)

/* A perf event array, by its records' type. libbpf gives it as many entries as there are CPUs. */
#define EBPF_PERFBUF(array_name, record_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); \
		__uint(key_size, sizeof(__u32)); \
		__uint(value_size, sizeof(__u32)); \
	} array_name SEC(".maps"); \
	struct { \
		struct ebpf_ring_control control; \
		struct ebpf_ring_counters cpu[EBPF_RING_CPUS]; \
		record_type record[0]; \
	} ebpf_ring__##array_name SEC(".data.ebpf"); \
	EBPF_INLINE_ long array_name##_output_flags(void *ctx, void *data, __u64 size, __u64 flags) \
	{ \
		return ebpf_perf_output_(ctx, &array_name, ebpf_ring__##array_name.cpu, data, size, flags); \
	} \
	EBPF_INLINE_ long array_name##_output(void *ctx, void *data, __u64 size) \
	{ \
		return array_name##_output_flags(ctx, data, size, BPF_F_CURRENT_CPU); \
	} \
	struct ebpf_ring_semicolon_

/* Rings by key; the reader puts them there. With _WAKEUP: as EBPF_RINGBUF_WAKEUP, for all of them. */
#define EBPF_RINGBUF_HASH(ring_name, key_type, record_type, ring_bytes, most_rings) \
	EBPF_RINGBUF_HASH_WAKEUP(ring_name, key_type, record_type, ring_bytes, most_rings, EBPF_WAKEUP_DEFAULT)

#define EBPF_RINGBUF_HASH_WAKEUP(ring_name, key_type, record_type, ring_bytes, most_rings, wakeup_default) \
	EBPF_RINGS_(ring_name, HASH, key_type, record_type, ring_bytes, most_rings, wakeup_default)

/* Rings by number. */
#define EBPF_RINGBUF_ARRAY(ring_name, record_type, ring_bytes, most_rings) \
	EBPF_RINGBUF_ARRAY_WAKEUP(ring_name, record_type, ring_bytes, most_rings, EBPF_WAKEUP_DEFAULT)

#define EBPF_RINGBUF_ARRAY_WAKEUP(ring_name, record_type, ring_bytes, most_rings, wakeup_default) \
	EBPF_RINGS_(ring_name, ARRAY, __u32, record_type, ring_bytes, most_rings, wakeup_default)

/* A ring that user space writes. Needs the kernel's headers, or a vmlinux.h, of Linux 6.1. */
#define EBPF_USER_RINGBUF(ring_name, record_type, ring_bytes) \
	struct { \
		__uint(type, BPF_MAP_TYPE_USER_RINGBUF); \
		__uint(max_entries, ring_bytes); \
	} ring_name SEC(".maps"); \
	struct { \
		__u64 drained; \
		record_type record[0]; \
	} ebpf_user_ring__##ring_name SEC(".data.ebpf"); \
	EBPF_INLINE_ long ring_name##_drain(long (*callback)(struct bpf_dynptr * entry, void *ctx), void *ctx) \
	{ \
		long drained = bpf_user_ringbuf_drain(&ring_name, (void *)callback, ctx, 0); \
\
		if (drained > 0) \
			__sync_fetch_and_add(&ebpf_user_ring__##ring_name.drained, drained); \
		return drained; \
	} \
	EBPF_INLINE_ long ring_name##_read(struct bpf_dynptr *entry, record_type *to) \
	{ \
		return bpf_dynptr_read(to, sizeof(*to), entry, 0, 0); \
	} \
	EBPF_INLINE_ long ring_name##_read_at(struct bpf_dynptr *entry, void *to, __u32 size, __u32 offset) \
	{ \
		return bpf_dynptr_read(to, size, entry, offset, 0); \
	} \
	struct ebpf_ring_semicolon_

/* A ring that another source file of the same object declares. The linker insists on the same definition, size included. */
#define EBPF_RINGBUF_EXTERN(ring_name, record_type, ring_bytes) \
	extern struct { \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, ring_bytes); \
	} ring_name SEC(".maps"); \
	extern struct { \
		struct ebpf_ring_control control; \
		struct ebpf_ring_counters cpu[EBPF_RING_CPUS]; \
		record_type record[0]; \
	} ebpf_ring__##ring_name SEC(".data.ebpf"); \
	extern const volatile __u64 ebpf_ring_wakeup__##ring_name SEC(".rodata"); \
	EBPF_RINGBUF_HELPERS_(ring_name, record_type)

/* ---- From here on: not part of the interface. ---- */

#define EBPF_INLINE_ static __always_inline __attribute__((unused))

EBPF_INLINE_ struct ebpf_ring_counters *ebpf_ring_slot_(struct ebpf_ring_counters *counters)
{
	return &counters[bpf_get_smp_processor_id() & (EBPF_RING_CPUS - 1)];
}

EBPF_INLINE_ void ebpf_ring_count_lost_(struct ebpf_ring_counters *slot, __u64 size)
{
	__sync_fetch_and_add(&slot->lost, 1);
	__sync_fetch_and_add(&slot->lost_bytes, size);
	/* Whichever of two racing losses stores last is as good as the other. */
	*(volatile __u64 *)&slot->last_lost_ns = bpf_ktime_get_ns();
}

/*
 * A reader learns of a loss when it reads, and a full ring is read. What is larger than the whole ring is lost while the ring is
 * empty: it has to be told, by a record that it does not see.
 */
EBPF_INLINE_ void ebpf_ring_tell_(void *ring, __u64 size)
{
	void *nothing;

	if (size + 8 <= bpf_ringbuf_query(ring, BPF_RB_RING_SIZE))
		return;
	nothing = bpf_ringbuf_reserve(ring, 8, 0);
	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

EBPF_INLINE_ void *ebpf_ring_reserve_(void *ring, struct ebpf_ring_counters *counters, __u64 size)
{
	void *record = bpf_ringbuf_reserve(ring, size, 0);

	if (!record) {
		struct ebpf_ring_counters *slot = ebpf_ring_slot_(counters);

		__sync_fetch_and_add(&slot->produced, 1);
		ebpf_ring_count_lost_(slot, size);
		ebpf_ring_tell_(ring, size);
	}
	return record;
}

/* Whether a wake-up is the same for each record, and then with which flags. All others depend on what waits in the ring. */
EBPF_INLINE_ int ebpf_wakeup_is_fixed_(__u64 wakeup, __u64 *flags)
{
	if (wakeup == EBPF_WAKEUP_DEFAULT) {
		*flags = 0;
		return 1;
	}
	if (wakeup == EBPF_WAKEUP_NONE) {
		*flags = BPF_RB_NO_WAKEUP;
		return 1;
	}
	return 0;
}

/* Not NO_WAKEUP where there is a threshold: the consumer may be waiting for this record, with others ready behind it. */
EBPF_INLINE_ __u64 ebpf_wakeup_discard_flags_(__u64 wakeup)
{
	return wakeup == EBPF_WAKEUP_NONE ? BPF_RB_NO_WAKEUP : 0;
}

EBPF_INLINE_ __u64 ebpf_wakeup_now_(struct ebpf_ring_control *control, __u64 wakeup)
{
	return wakeup == EBPF_WAKEUP_LIVE ? *(volatile __u64 *)&control->wakeup : wakeup;
}

/* `pending` is what the record about to be added will take in the ring: bpf_ringbuf_output reserves only later. */
EBPF_INLINE_ __u64 ebpf_wakeup_threshold_flags_(void *ring, struct ebpf_ring_control *control, __u64 threshold,
						__u64 pending)
{
	volatile __u64 *armed = &control->armed;
	__u64 half = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;

	if (threshold > half)
		threshold = half; /* else a full ring would lose for ever, with nobody woken */
	if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + pending < threshold) {
		if (!*armed)
			*armed = 1;
		return BPF_RB_NO_WAKEUP;
	}
	if (*armed) {
		*armed = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	/*
	 * Above the threshold and woken already: the ring stays readable for whoever polls it (level-triggered) until it is
	 * empty. 0 rather than NO_WAKEUP covers what is left: the consumer emptied the ring and no producer saw it low
	 * (several reserved at once), or it waits for this very record behind which others are ready.
	 */
	return 0;
}

EBPF_INLINE_ __u64 ebpf_ring_wakeup_flags_(void *ring, struct ebpf_ring_control *control, __u64 wakeup, __u64 pending)
{
	__u64 flags;

	wakeup = ebpf_wakeup_now_(control, wakeup);
	if (ebpf_wakeup_is_fixed_(wakeup, &flags))
		return flags;
	return ebpf_wakeup_threshold_flags_(ring, control, wakeup, pending);
}

/* What a record of a size takes in a ring: as the kernel rounds it, and its header. */
EBPF_INLINE_ __u64 ebpf_ring_bytes_(__u64 size)
{
	return ((size + 7) & ~7ULL) + 8;
}

EBPF_INLINE_ void ebpf_ring_submit_(void *record, struct ebpf_ring_counters *counters, __u64 flags)
{
	/* Before the record can be read, so that nobody sees more delivered than produced. */
	__sync_fetch_and_add(&ebpf_ring_slot_(counters)->produced, 1);
	bpf_ringbuf_submit(record, flags);
}

EBPF_INLINE_ long ebpf_ring_output_(void *ring, struct ebpf_ring_counters *counters, void *data, __u64 size,
				    __u64 flags)
{
	struct ebpf_ring_counters *slot = ebpf_ring_slot_(counters);
	long error;

	__sync_fetch_and_add(&slot->produced, 1);
	error = bpf_ringbuf_output(ring, data, size, flags);
	if (error) {
		ebpf_ring_count_lost_(slot, size);
		ebpf_ring_tell_(ring, size);
	}
	return error;
}

EBPF_INLINE_ long ebpf_perf_output_(void *ctx, void *map, struct ebpf_ring_counters *counters, void *data, __u64 size,
				    __u64 flags)
{
	struct ebpf_ring_counters *slot = ebpf_ring_slot_(counters);
	long error;

	__sync_fetch_and_add(&slot->produced, 1);
	error = bpf_perf_event_output(ctx, map, flags, data, size);
	if (error)
		ebpf_ring_count_lost_(slot, size);
	return error;
}

#define EBPF_RING_WAKEUP_FLAGS_(ring, pending) \
	ebpf_ring_wakeup_flags_(&ring, &ebpf_ring__##ring.control, ebpf_ring_wakeup__##ring, pending)

#define EBPF_RINGBUF_HELPERS_(ring, record_type) \
	EBPF_INLINE_ record_type *ring##_reserve_size(__u64 size) \
	{ \
		return ebpf_ring_reserve_(&ring, ebpf_ring__##ring.cpu, size); \
	} \
	EBPF_INLINE_ record_type *ring##_reserve(void) \
	{ \
		return ebpf_ring_reserve_(&ring, ebpf_ring__##ring.cpu, sizeof(record_type)); \
	} \
	EBPF_INLINE_ void ring##_submit_flags(record_type *rec, __u64 flags) \
	{ \
		ebpf_ring_submit_(rec, ebpf_ring__##ring.cpu, flags); \
	} \
	EBPF_INLINE_ void ring##_submit(record_type *rec) \
	{ \
		ebpf_ring_submit_(rec, ebpf_ring__##ring.cpu, EBPF_RING_WAKEUP_FLAGS_(ring, 0)); \
	} \
	EBPF_INLINE_ void ring##_discard(record_type *rec) \
	{ \
		bpf_ringbuf_discard(rec, ebpf_wakeup_discard_flags_(ebpf_ring_wakeup__##ring)); \
	} \
	EBPF_INLINE_ long ring##_output_flags(void *data, __u64 size, __u64 flags) \
	{ \
		return ebpf_ring_output_(&ring, ebpf_ring__##ring.cpu, data, size, flags); \
	} \
	EBPF_INLINE_ long ring##_output(void *data, __u64 size) \
	{ \
		return ebpf_ring_output_(&ring, ebpf_ring__##ring.cpu, data, size, \
					 EBPF_RING_WAKEUP_FLAGS_(ring, ebpf_ring_bytes_(size))); \
	} \
	struct ebpf_ring_semicolon_

_Static_assert(sizeof(struct ebpf_ring_control) == sizeof(struct ebpf_ring_counters), "one size of entries");

/* A ring's counters, or its control. The program makes those of a ring that somebody else put there. */
EBPF_INLINE_ void *ebpf_rings_entry_(void *entries, const void *key)
{
	struct ebpf_ring_counters zero = {};
	void *entry = bpf_map_lookup_elem(entries, key);

	if (entry)
		return entry;
	bpf_map_update_elem(entries, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(entries, key);
}

/* As ebpf_ring_wakeup_flags_, looking up no more than the wake-up needs. `ring` may be NULL for one that was not looked up yet. */
EBPF_INLINE_ __u64 ebpf_rings_wakeup_flags_(void *rings, void *ring, void *controls, const void *key, __u64 wakeup,
					    __u64 pending)
{
	struct ebpf_ring_control *control;
	__u64 flags;

	if (ebpf_wakeup_is_fixed_(wakeup, &flags))
		return flags;
	control = ebpf_rings_entry_(controls, key);
	if (!control)
		return 0;
	wakeup = ebpf_wakeup_now_(control, wakeup);
	if (ebpf_wakeup_is_fixed_(wakeup, &flags))
		return flags;
	if (!ring)
		ring = bpf_map_lookup_elem(rings, key);
	if (!ring)
		return 0; /* taken away since the record was reserved */
	return ebpf_wakeup_threshold_flags_(ring, control, wakeup, pending);
}

EBPF_INLINE_ void ebpf_rings_count_(void *counters, const void *key, __u64 lost_size, int lost)
{
	struct ebpf_ring_counters *slot = ebpf_rings_entry_(counters, key);

	if (!slot)
		return;
	__sync_fetch_and_add(&slot->produced, 1);
	if (lost)
		ebpf_ring_count_lost_(slot, lost_size);
}

/* The ring of a key. What is for none is counted. */
EBPF_INLINE_ void *ebpf_rings_find_(void *rings, __u64 *unrouted, const void *key)
{
	void *ring = bpf_map_lookup_elem(rings, key);

	if (!ring)
		__sync_fetch_and_add(unrouted, 1);
	return ring;
}

EBPF_INLINE_ void *ebpf_rings_reserve_(void *ring, void *counters, const void *key, __u64 size)
{
	void *record;

	if (!ring)
		return NULL;
	record = bpf_ringbuf_reserve(ring, size, 0);
	if (!record) {
		ebpf_rings_count_(counters, key, size, 1);
		ebpf_ring_tell_(ring, size);
	}
	return record;
}

#define EBPF_RINGS_ENOENT_ (-2)

EBPF_INLINE_ long ebpf_rings_output_(void *ring, void *counters, const void *key, void *data, __u64 size, __u64 flags)
{
	struct ebpf_ring_counters *slot = ebpf_rings_entry_(counters, key);
	long error;

	if (slot)
		__sync_fetch_and_add(&slot->produced, 1);
	error = bpf_ringbuf_output(ring, data, size, flags);
	if (error && slot) {
		ebpf_ring_count_lost_(slot, size);
		ebpf_ring_tell_(ring, size);
	}
	return error;
}

#define EBPF_RINGS_(ring_name, kind, key_type, record_type, ring_bytes, most_rings, wakeup_default) \
	struct ebpf_inner__##ring_name { \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, ring_bytes); \
	}; \
	struct { \
		__uint(type, BPF_MAP_TYPE_##kind##_OF_MAPS); \
		__uint(max_entries, most_rings); \
		__type(key, key_type); \
		__array(values, struct ebpf_inner__##ring_name); \
	} ring_name SEC(".maps"); \
	struct { \
		__uint(type, BPF_MAP_TYPE_PERCPU_##kind); \
		__uint(max_entries, most_rings); \
		__type(key, key_type); \
		__type(value, struct ebpf_ring_counters); \
	} ebpf_counters__##ring_name SEC(".maps"); \
	struct { \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(max_entries, most_rings); \
		__type(key, key_type); \
		__type(value, struct ebpf_ring_control); \
	} ebpf_control__##ring_name SEC(".maps"); \
	struct { \
		__u64 unrouted; \
		__u64 bytes; \
		record_type record[0]; \
	} ebpf_rings__##ring_name SEC(".data.ebpf") = {.bytes = ring_bytes}; \
	const volatile __u64 ebpf_ring_wakeup__##ring_name = wakeup_default; \
	EBPF_INLINE_ void *ebpf_find__##ring_name(const key_type *key) \
	{ \
		return ebpf_rings_find_(&ring_name, &ebpf_rings__##ring_name.unrouted, key); \
	} \
	EBPF_INLINE_ record_type *ring_name##_reserve_size(const key_type *key, __u64 size) \
	{ \
		return ebpf_rings_reserve_(ebpf_find__##ring_name(key), &ebpf_counters__##ring_name, key, size); \
	} \
	EBPF_INLINE_ record_type *ring_name##_reserve(const key_type *key) \
	{ \
		return ring_name##_reserve_size(key, sizeof(record_type)); \
	} \
	EBPF_INLINE_ void ring_name##_submit_flags(const key_type *key, record_type *rec, __u64 flags) \
	{ \
		/* Before the record can be read, so that nobody sees more delivered than produced. */ \
		ebpf_rings_count_(&ebpf_counters__##ring_name, key, 0, 0); \
		bpf_ringbuf_submit(rec, flags); \
	} \
	EBPF_INLINE_ void ring_name##_submit(const key_type *key, record_type *rec) \
	{ \
		ring_name##_submit_flags(key, rec, \
					 ebpf_rings_wakeup_flags_(&ring_name, NULL, &ebpf_control__##ring_name, key, \
								  ebpf_ring_wakeup__##ring_name, 0)); \
	} \
	EBPF_INLINE_ void ring_name##_discard(record_type *rec) \
	{ \
		bpf_ringbuf_discard(rec, ebpf_wakeup_discard_flags_(ebpf_ring_wakeup__##ring_name)); \
	} \
	EBPF_INLINE_ long ring_name##_output_flags(const key_type *key, void *data, __u64 size, __u64 flags) \
	{ \
		void *ring = ebpf_find__##ring_name(key); \
\
		if (!ring) \
			return EBPF_RINGS_ENOENT_; \
		return ebpf_rings_output_(ring, &ebpf_counters__##ring_name, key, data, size, flags); \
	} \
	EBPF_INLINE_ long ring_name##_output(const key_type *key, void *data, __u64 size) \
	{ \
		void *ring = ebpf_find__##ring_name(key); \
\
		if (!ring) \
			return EBPF_RINGS_ENOENT_; \
		return ebpf_rings_output_(ring, &ebpf_counters__##ring_name, key, data, size, \
					  ebpf_rings_wakeup_flags_(&ring_name, ring, &ebpf_control__##ring_name, key, \
								   ebpf_ring_wakeup__##ring_name, \
								   ebpf_ring_bytes_(size))); \
	} \
	struct ebpf_ring_semicolon_

/* ebpf_perf__<ring> is constant once loaded: the verifier follows one of the two ways, and the other may use what the kernel lacks. */
#define EBPF_EVENTS_HELPERS_(ring, record_type) \
	EBPF_INLINE_ record_type *ring##_reserve(void) \
	{ \
		if (ebpf_perf__##ring) { \
			__u32 zero = 0; \
			return bpf_map_lookup_elem(&ebpf_scratch__##ring, &zero); \
		} \
		return ebpf_ring_reserve_(&ring, ebpf_ring__##ring.cpu, sizeof(record_type)); \
	} \
	EBPF_INLINE_ void ring##_submit(void *ctx, record_type *rec) \
	{ \
		if (ebpf_perf__##ring) \
			ebpf_perf_output_(ctx, &ring, ebpf_ring__##ring.cpu, rec, sizeof(record_type), \
					  BPF_F_CURRENT_CPU); \
		else \
			ebpf_ring_submit_(rec, ebpf_ring__##ring.cpu, EBPF_RING_WAKEUP_FLAGS_(ring, 0)); \
	} \
	EBPF_INLINE_ void ring##_discard(record_type *rec) \
	{ \
		if (!ebpf_perf__##ring) \
			bpf_ringbuf_discard(rec, ebpf_wakeup_discard_flags_(ebpf_ring_wakeup__##ring)); \
	} \
	EBPF_INLINE_ long ring##_output(void *ctx, void *data, __u64 size) \
	{ \
		if (ebpf_perf__##ring) \
			return ebpf_perf_output_(ctx, &ring, ebpf_ring__##ring.cpu, data, size, BPF_F_CURRENT_CPU); \
		return ebpf_ring_output_(&ring, ebpf_ring__##ring.cpu, data, size, \
					 EBPF_RING_WAKEUP_FLAGS_(ring, ebpf_ring_bytes_(size))); \
	} \
	struct ebpf_ring_semicolon_

#endif
