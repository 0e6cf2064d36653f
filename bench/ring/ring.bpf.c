// SPDX-License-Identifier: MIT
/* What the benches drain: BPF_PROG_TEST_RUN with repeat = N runs a program N times, and each run sends `per_run` records. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <ebpf/events.h>

struct record {
	__u64 time;
	__u32 pid;
	__u32 value;
	char comm[16];
};

struct packet {
	__u64 time;
	__u32 length;
	__u32 cpu;
	__u8 data[];
};

EBPF_RINGBUF(records, struct record, 16 << 20);
EBPF_RINGBUF(packets, struct packet, 16 << 20);

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");

/* At most 64. */
const volatile __u32 per_run = 32;
/* Bytes of a packet's payload. */
const volatile __u32 payload = 240;

__u64 sequence;

static __always_inline void send_record(void)
{
	struct record *record = records_reserve();
	__u64 seq = __sync_fetch_and_add(&sequence, 1);

	if (!record)
		return;
	record->time = seq;
	record->pid = seq;
	record->value = seq >> 5;
	/* Eight names, as a busy machine has a few. */
	__builtin_memcpy(record->comm, "worker-0\0\0\0\0\0\0\0", sizeof(record->comm));
	record->comm[7] = '0' + (seq & 7);
	records_submit(record);
}

SEC("xdp")
int send_records(struct xdp_md *ctx)
{
	for (__u32 i = 0; i < 64; i++) {
		if (i >= per_run)
			break;
		send_record();
	}
	return XDP_PASS;
}

/* One record that begins with the time it was sent at. */
SEC("xdp")
int send_stamped(struct xdp_md *ctx)
{
	struct record *record = records_reserve();

	if (!record)
		return XDP_PASS;
	record->pid = record->value = 0;
	__builtin_memset(record->comm, 0, sizeof(record->comm));
	record->time = bpf_ktime_get_ns();
	records_submit(record);
	return XDP_PASS;
}

/* What is traced: bench/ring/traced.c calls a function, and this sends what bpftrace is told to print. */
SEC("uprobe")
int send_call(struct pt_regs *ctx)
{
	struct record *record = records_reserve();

	if (!record)
		return 0;
	record->time = bpf_ktime_get_ns();
	record->pid = bpf_get_current_pid_tgid() >> 32;
	record->value = PT_REGS_PARM1(ctx);
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	records_submit(record);
	return 0;
}

SEC("xdp")
int send_packets(struct xdp_md *ctx)
{
	struct packet *packet;

	for (__u32 i = 0; i < 64; i++) {
		if (i >= per_run)
			break;
		packet = packets_reserve_size(sizeof(struct packet) + payload);
		if (!packet)
			break;
		packet->time = __sync_fetch_and_add(&sequence, 1);
		packet->length = payload;
		packet->cpu = bpf_get_smp_processor_id();
		/* The payload stays what the ring held: the benches are about moving it. */
		packets_submit(packet);
	}
	return XDP_PASS;
}

SEC("xdp")
int send_samples(struct xdp_md *ctx)
{
	struct record record = {.comm = "worker-0"};

	for (__u32 i = 0; i < 64; i++) {
		if (i >= per_run)
			break;
		record.time = sequence;
		record.pid = sequence;
		record.value = sequence >> 5;
		record.comm[7] = '0' + (sequence & 7);
		sequence++;
		bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &record, sizeof(record));
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
