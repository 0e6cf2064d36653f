// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What netfilter decided, packet by packet: the entry and the return of nf_hook_slow, which runs the hooks registered
 * for one protocol family and hook number. It is not called where no hook is registered.
 *
 * Two variants of the same probe, in separate programs:
 *   nf_hook_exit_fexit + nf_hook_entry_fentry       BPF trampolines (5.5 on x86-64, 6.0 on arm64): cheaper, none missed
 *   nf_hook_exit_kretprobe + nf_hook_entry_kprobe   everywhere else
 * Attach the exit before the entry, so that every call which was entered is also seen to return.
 *
 * Everything is read on entry, because after a drop the packet is gone, and waits in `calls` until the return brings
 * the verdict. What identifies the call between the two is where it is on its stack:
 *   with trampolines   the address of its nf_hook_state, which every caller has in its own stack frame
 *   with kprobes       the stack pointer at the call
 * Both are unique among all calls under way on the machine. A task and a CPU are not: a call can migrate while it is
 * preempted, a softirq can interrupt one and make another in the name of the same task, and a hook can send a packet
 * of its own (a reject, a tunnel) through the same function. Softirqs in the idle tasks are all "pid 0", but run on
 * stacks of their own.
 */
#include "kernel.h"
#include "packet.h"
#include <linux/ptrace.h>
#include <bpf/bpf_tracing.h>
#include <ebpf/events.h>

enum nf_verdict_flags {
	/* No 5-tuple: ARP, bridged frames of another protocol, damaged headers. */
	NF_VERDICT_NOT_IP = PACKET_NOT_IP,
	NF_VERDICT_FRAGMENT = PACKET_FRAGMENT,
	/* Addresses only: a later fragment, or headers outside the linear part. */
	NF_VERDICT_NO_TRANSPORT = PACKET_NO_TRANSPORT,
	/* Seen by the kprobe variant. */
	NF_VERDICT_KPROBE = 8,
};

struct nf_verdict {
	/* CLOCK_MONOTONIC at the entry, and how long the hooks took. */
	__u64 time_ns;
	__u64 duration_ns;
	/* Of the packet's socket (cgroup v2); 0 where the packet has none, which is usual before it is delivered. */
	__u64 cgroup_id;
	/* The task that was running: in softirq, whichever was interrupted (0: idle). pid: the thread, tgid: the process. */
	__u32 pid;
	__u32 tgid;
	/* 1: accepted. 0: stolen or queued, so decided elsewhere or later. Negative: dropped with this errno, mostly EPERM. */
	__s32 retval;
	__u32 cpu;
	/* Inode of the network namespace, as in `readlink /proc/PID/ns/net`. */
	__u32 netns;
	/* skb->len: from the network header on in IP hooks. */
	__u32 length;
	__u32 mark;
	/* 0 and empty names where the hook has no such device. */
	__u32 ifindex_in;
	__u32 ifindex_out;
	enum nf_verdict_flags flags;
	/* NFPROTO_*: 2 IPv4, 3 ARP, 5 netdev, 7 bridge, 10 IPv6. */
	__u8 pf;
	/* NF_INET_*: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting; NF_NETDEV_*, NF_ARP_* and so on for others. */
	__u8 hook;
	__be16 ethertype;
	struct packet_tuple tuple;
	char dev_in[16];
	char dev_out[16];
	char comm[16];
};

/* Filters, all of which must hold. */
const volatile __u32 only_netns = 0;   /* inode; 0: any */
const volatile __u32 only_tgid = 0;    /* of the running task, see `pid` above; 0: any */
const volatile __u64 only_cgroup = 0;  /* id of the socket's cgroup or of one above it; 0: any */
const volatile __u16 only_port = 0;    /* host byte order, source or destination; 0: any */
const volatile __u8 only_protocol = 0; /* IPPROTO_*; 0: any */
const volatile __u8 only_pf = 0;       /* NFPROTO_*; 0: any */
const volatile __s32 only_hook = -1;   /* -1: any */
const volatile bool only_drops = false;

EBPF_RINGBUF(verdicts, struct nf_verdict, 1024 * 1024);

/* Calls under way, by where they are on their stack. Bounded by the tasks that can be in the middle of one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct nf_verdict);
} calls SEC(".maps");

/* Verdicts that matched the filters and were never reported, other than by a full ring. */
struct {
	/* Entries which `calls` had no room for. */
	__u64 not_stored;
	/* Entries whose return was never seen: a kretprobe that the kernel skipped. Counted when the stack is used again. */
	__u64 no_return;
} missed;

static __always_inline bool port_matches(const struct packet_tuple *tuple)
{
	return bpf_ntohs(tuple->sport) == only_port || bpf_ntohs(tuple->dport) == only_port;
}

static __always_inline void store(__u64 frame, const struct nf_verdict *verdict)
{
	/* int: the map's own function is called directly, and what it returns is not sign-extended to 64 bits. */
	int error = bpf_map_update_elem(&calls, &frame, verdict, BPF_NOEXIST);

	if (error == -17 /* EEXIST */) {
		__sync_fetch_and_add(&missed.no_return, 1);
		error = bpf_map_update_elem(&calls, &frame, verdict, BPF_ANY);
	}
	if (error)
		__sync_fetch_and_add(&missed.not_stored, 1);
}

static __always_inline void on_entry(__u64 frame, struct sk_buff *skb, struct nf_hook_state *state, __u32 flags)
{
	struct nf_verdict verdict = {};
	struct cgroup *cgroup = NULL;
	struct net_device *device;
	struct sock *sk;
	__u64 task = bpf_get_current_pid_tgid();

	/* The cheap tests first: most packets of a busy machine end here when a filter is set. */
	verdict.tgid = task >> 32;
	if (only_tgid && verdict.tgid != only_tgid)
		return;
	verdict.netns = BPF_CORE_READ(state, net, ns.inum);
	if (only_netns && verdict.netns != only_netns)
		return;
	verdict.pf = BPF_CORE_READ(state, pf);
	if (only_pf && verdict.pf != only_pf)
		return;
	verdict.hook = BPF_CORE_READ_BITFIELD_PROBED(state, hook);
	if (only_hook >= 0 && verdict.hook != only_hook)
		return;
	verdict.flags = packet_read(skb, &verdict.tuple) | flags;
	if (only_protocol && verdict.tuple.protocol != only_protocol)
		return;
	if (only_port && !port_matches(&verdict.tuple))
		return;
	sk = BPF_CORE_READ(skb, sk);
	if (sk && is_full_socket(sk))
		cgroup = socket_cgroup(sk);
	if (only_cgroup && !cgroup_within(cgroup, only_cgroup))
		return;

	verdict.time_ns = bpf_ktime_get_ns();
	verdict.cgroup_id = cgroup_id(cgroup);
	verdict.pid = task;
	verdict.cpu = bpf_get_smp_processor_id();
	verdict.length = BPF_CORE_READ(skb, len);
	verdict.mark = BPF_CORE_READ(skb, mark);
	verdict.ethertype = BPF_CORE_READ(skb, protocol);
	device = BPF_CORE_READ(state, in);
	if (device) {
		verdict.ifindex_in = BPF_CORE_READ(device, ifindex);
		BPF_CORE_READ_STR_INTO(&verdict.dev_in, device, name);
	}
	device = BPF_CORE_READ(state, out);
	if (device) {
		verdict.ifindex_out = BPF_CORE_READ(device, ifindex);
		BPF_CORE_READ_STR_INTO(&verdict.dev_out, device, name);
	}
	bpf_get_current_comm(verdict.comm, sizeof(verdict.comm));
	store(frame, &verdict);
}

static __always_inline void on_exit(__u64 frame, __s32 retval)
{
	/* Nobody else has this entry: its call is the one that just returned. */
	struct nf_verdict *verdict = bpf_map_lookup_elem(&calls, &frame);

	if (!verdict)
		return; /* filtered, or entered before the programs were attached */
	if (!only_drops || retval < 0) {
		verdict->retval = retval;
		verdict->duration_ns = bpf_ktime_get_ns() - verdict->time_ns;
		verdicts_output(verdict, sizeof(*verdict));
	}
	bpf_map_delete_elem(&calls, &frame);
}

SEC("fentry/nf_hook_slow")
int BPF_PROG(nf_hook_entry_fentry, struct sk_buff *skb, struct nf_hook_state *state)
{
	on_entry((__u64)state, skb, state, 0);
	return 0;
}

/* All four parameters: the trampoline keeps the return value behind them. */
SEC("fexit/nf_hook_slow")
int BPF_PROG(nf_hook_exit_fexit, struct sk_buff *skb, struct nf_hook_state *state, void *entries, unsigned int s,
	     int retval)
{
	on_exit((__u64)state, retval);
	return 0;
}

/* Where the call pushes the return address on the stack, the pointer is one word higher after the return than at the
 * entry. */
#ifdef __TARGET_ARCH_x86
#define RETURN_ADDRESS_SIZE 8
#else
#define RETURN_ADDRESS_SIZE 0
#endif

/* The odd bit tells it from the address of an nf_hook_state, which can lie exactly there, when both variants are
 * attached. */
static __always_inline __u64 stack_frame(__u64 stack_pointer)
{
	return stack_pointer | 1;
}

SEC("kprobe/nf_hook_slow")
int BPF_KPROBE(nf_hook_entry_kprobe, struct sk_buff *skb, struct nf_hook_state *state)
{
	on_entry(stack_frame(PT_REGS_SP(ctx) + RETURN_ADDRESS_SIZE), skb, state, NF_VERDICT_KPROBE);
	return 0;
}

SEC("kretprobe/nf_hook_slow")
int BPF_KRETPROBE(nf_hook_exit_kretprobe, int retval)
{
	on_exit(stack_frame(PT_REGS_SP(ctx)), retval);
	return 0;
}

char _license[] SEC("license") = "GPL";
