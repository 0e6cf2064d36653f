// SPDX-License-Identifier: MIT
/* Rings: one record, several told apart by the enum they begin with, a tail, a scalar, a plain ring of bytes, rings that are written, and perf
 * event arrays. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <ebpf/events.h>

enum event_kind { EVENT_OPEN = 1, EVENT_CLOSE, EVENT_MAX };

struct opened {
	enum event_kind kind;
	__u32 pid;
	char path[64];
};

struct closed {
	enum event_kind kind;
	__u64 bytes;
};

union event {
	struct opened open;
	struct closed close;
};

struct line {
	__u64 time_ns;
	__u16 length;
	char text[];
};

/* Not told apart: the alternatives do not begin with one enum. */
union either {
	struct line line;
	__u64 number;
};

/* Before the ring, whose records have the union's name all the same. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, union event);
} scratch SEC(".maps");

EBPF_RINGBUF(events, union event, 4096);
EBPF_RINGBUF(lines, struct line, 4096);
EBPF_RINGBUF(numbers, __u64, 4096);
EBPF_RINGBUF(eithers, union either, 4096);
struct tenant {
	__u32 id;
	__u32 zone;
};
EBPF_RINGBUF_HASH(tenants, struct tenant, union event, 4096, 8);
EBPF_RINGBUF_ARRAY(slots, struct line, 4096, 8);
EBPF_USER_RINGBUF(commands, union event, 4096);
EBPF_USER_RINGBUF(choices, union either, 4096);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} plain SEC(".maps");

/* Perf event arrays: by their records, and one of which nobody knows what is in it. */
EBPF_PERFBUF(samples, union event);
EBPF_PERFBUF(packets, struct line);

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} unknown SEC(".maps");

static long on_command(struct bpf_dynptr *entry, void *ctx)
{
	union event command;
	union either choice;

	return commands_read(entry, &command) || choices_read(entry, &choice);
}

SEC("raw_tp/sys_enter")
int on_enter(void *ctx)
{
	__u64 *number = numbers_reserve();

	if (number) {
		*number = 1;
		numbers_submit(number);
	}
	bpf_ringbuf_output(&plain, &number, sizeof(number), 0);
	struct tenant tenant = {};
	__u32 slot = 0;

	bpf_perf_event_output(ctx, &unknown, BPF_F_CURRENT_CPU, &number, sizeof(number));
	samples_output(ctx, &number, sizeof(number));
	packets_output_flags(ctx, &number, sizeof(number), BPF_F_CURRENT_CPU);
	tenants_output(&tenant, &number, sizeof(number));
	slots_output(&slot, &number, sizeof(number));
	commands_drain(on_command, NULL);
	choices_drain(on_command, NULL);
	return events_output(&number, 8) + lines_output(&number, 8) + eithers_output(&number, 8);
}

char _license[] SEC("license") = "GPL";
