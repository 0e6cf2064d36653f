// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What netfilter decided, packet by packet: the entry and the return of nf_hook_slow, which runs the hooks registered
 * for one protocol family and hook number. It is not called where no hook is registered.
 *
 * Two variants of the same probe, in separate programs:
 *   nf_hook_exit_fexit + nf_hook_entry_fentry       BPF trampolines (5.5 on x86-64, 6.0 on arm64): cheaper
 *   nf_hook_exit_kretprobe + nf_hook_entry_kprobe   everywhere else, and better under load on preemptible kernels
 * Attach the exit before the entry, so that every call which was entered is also seen to return.
 *
 * Why better: the kernel does not run a program on a CPU where it is running already. A kprobe's program cannot be preempted,
 * so that only happens when a softirq interrupts it. A trampoline's can since 5.12, and then the calls of whoever runs
 * instead go unseen, for a whole time slice. (Turning preemption off inside the program does not help: it is
 * preempted when it turns it on again.) `missed` has what a program can know of that; the kernel counts all of it
 * in recursion_misses (bpf_prog_info, since 5.12).
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

struct call {
	struct nf_verdict verdict;
	/* Never followed, only compared: the packet may be gone. */
	__u64 skb;
};

/* Calls under way, by where they are on their stack. Bounded by the tasks that can be in the middle of one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Verdicts that matched the filters and were never reported, other than by a full ring. */
struct {
	/* Entries which `calls` had no room for. */
	__u64 not_stored;
	/* Entries whose return was not seen. Known when the same place of the stack is used again. */
	__u64 no_return;
	/*
	 * Returns whose entry was not seen, or not stored. Known where no filter needs the packet (only_port, only_protocol,
	 * only_cgroup), and for the kprobe variant where only_tgid is the only filter. May count calls that were under way
	 * when the programs were attached.
	 */
	__u64 no_entry;
} missed;

/* Set by the first entry: returns before that have none. */
bool entered;

static __always_inline bool port_matches(const struct packet_tuple *tuple)
{
	return bpf_ntohs(tuple->sport) == only_port || bpf_ntohs(tuple->dport) == only_port;
}

static __always_inline void store(__u64 frame, const struct call *call)
{
	/* int: the map's own function is called directly, and what it returns is not sign-extended to 64 bits. */
	int error = bpf_map_update_elem(&calls, &frame, call, BPF_NOEXIST);

	if (error == -17 /* EEXIST */) {
		__sync_fetch_and_add(&missed.no_return, 1);
		error = bpf_map_update_elem(&calls, &frame, call, BPF_ANY);
	}
	if (error)
		__sync_fetch_and_add(&missed.not_stored, 1);
}

static __always_inline void on_entry(__u64 frame, struct sk_buff *skb, struct nf_hook_state *state, __u32 flags)
{
	struct call call = {.skb = (__u64)skb};
	struct nf_verdict *verdict = &call.verdict;
	struct cgroup *cgroup = NULL;
	struct net_device *device;
	struct sock *sk;
	__u64 task = bpf_get_current_pid_tgid();

	if (!entered)
		entered = true;
	/* The cheap tests first: most packets of a busy machine end here when a filter is set. */
	verdict->tgid = task >> 32;
	if (only_tgid && verdict->tgid != only_tgid)
		return;
	verdict->netns = BPF_CORE_READ(state, net, ns.inum);
	if (only_netns && verdict->netns != only_netns)
		return;
	verdict->pf = BPF_CORE_READ(state, pf);
	if (only_pf && verdict->pf != only_pf)
		return;
	verdict->hook = BPF_CORE_READ_BITFIELD_PROBED(state, hook);
	if (only_hook >= 0 && verdict->hook != only_hook)
		return;
	verdict->flags = packet_read(skb, &verdict->tuple) | flags;
	if (only_protocol && verdict->tuple.protocol != only_protocol)
		return;
	if (only_port && !port_matches(&verdict->tuple))
		return;
	sk = BPF_CORE_READ(skb, sk);
	if (sk && is_full_socket(sk))
		cgroup = socket_cgroup(sk);
	if (only_cgroup && !cgroup_within(cgroup, only_cgroup))
		return;

	verdict->time_ns = bpf_ktime_get_ns();
	verdict->cgroup_id = cgroup_id(cgroup);
	verdict->pid = task;
	verdict->cpu = bpf_get_smp_processor_id();
	verdict->length = BPF_CORE_READ(skb, len);
	verdict->mark = BPF_CORE_READ(skb, mark);
	verdict->ethertype = BPF_CORE_READ(skb, protocol);
	device = BPF_CORE_READ(state, in);
	if (device) {
		verdict->ifindex_in = BPF_CORE_READ(device, ifindex);
		BPF_CORE_READ_STR_INTO(&verdict->dev_in, device, name);
	}
	device = BPF_CORE_READ(state, out);
	if (device) {
		verdict->ifindex_out = BPF_CORE_READ(device, ifindex);
		BPF_CORE_READ_STR_INTO(&verdict->dev_out, device, name);
	}
	bpf_get_current_comm(verdict->comm, sizeof(verdict->comm));
	store(frame, &call);
}

/* Whether an entry of this call would have been stored, as far as the return can tell. `state` is NULL with kprobes. */
static __always_inline bool entry_expected(struct nf_hook_state *state)
{
	if (!entered || only_port || only_protocol || only_cgroup)
		return false;
	if (only_tgid && bpf_get_current_pid_tgid() >> 32 != only_tgid)
		return false;
	if (!state)
		return !only_netns && !only_pf && only_hook < 0;
	if (only_netns && BPF_CORE_READ(state, net, ns.inum) != only_netns)
		return false;
	if (only_pf && BPF_CORE_READ(state, pf) != only_pf)
		return false;
	return only_hook < 0 || BPF_CORE_READ_BITFIELD_PROBED(state, hook) == only_hook;
}

static __always_inline void on_exit(__u64 frame, struct sk_buff *skb, struct nf_hook_state *state, __s32 retval)
{
	/* Nobody else has this entry: its call is the one that just returned. */
	struct call *call = bpf_map_lookup_elem(&calls, &frame);
	struct nf_verdict *verdict;

	if (!call) {
		if (entry_expected(state))
			__sync_fetch_and_add(&missed.no_entry, 1);
		return;
	}
	verdict = &call->verdict;
	if (skb && call->skb != (__u64)skb) {
		/* An earlier call, whose return was not seen, and this one's entry was not either. */
		__sync_fetch_and_add(&missed.no_return, 1);
		__sync_fetch_and_add(&missed.no_entry, 1);
	} else if (!only_drops || retval < 0) {
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
	on_exit((__u64)state, skb, state, retval);
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
	on_exit(stack_frame(PT_REGS_SP(ctx)), NULL, NULL, retval);
	return 0;
}

char _license[] SEC("license") = "GPL";
