// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * TCP connections of a cgroup and those below it: when they come and go, and what they carried.
 *
 * A sockops program sees connections that begin after it is attached. `flows` holds those that are alive, with counters as of
 * their latest callback; `events` tells what happens to them. At the close the counters are the kernel's final ones.
 *
 * The kernel counts sequence numbers where it says bytes: bytes_acked includes the SYN of a connection that we opened and our
 * FIN, bytes_received the peer's FIN, and bytes_sent everything sent again. Here, bytes are bytes of payload.
 */
#include "kernel.h"
#include <bpf/bpf_endian.h>
#include <ebpf/events.h>

enum flow_event_kind {
	/* connect() was called. In the context of the process which called it. */
	FLOW_CONNECT = 1,
	/* The handshake is done. */
	FLOW_ESTABLISHED,
	/* Any other change of state but the last. */
	FLOW_STATE,
	/* The last: closed, refused (error: ECONNREFUSED), reset, or timed out. */
	FLOW_CLOSE,
	/* Segments were sent again; only with want_retransmits. */
	FLOW_RETRANSMIT,
	/* A round trip was measured; only with want_rtt. */
	FLOW_RTT,
};

enum flow_direction {
	FLOW_ACTIVE = 1, /* opened from here */
	FLOW_PASSIVE,	 /* accepted here */
};

/* The kernel's own numbers. */
enum flow_state {
	FLOW_STATE_NONE = 0,
	FLOW_STATE_ESTABLISHED,
	FLOW_STATE_SYN_SENT,
	FLOW_STATE_SYN_RECV,
	FLOW_STATE_FIN_WAIT1,
	FLOW_STATE_FIN_WAIT2,
	FLOW_STATE_TIME_WAIT,
	FLOW_STATE_CLOSE,
	FLOW_STATE_CLOSE_WAIT,
	FLOW_STATE_LAST_ACK,
	FLOW_STATE_LISTEN,
	FLOW_STATE_CLOSING,
	FLOW_STATE_NEW_SYN_RECV,
};

struct flow {
	/* The socket's cookie: unique since boot. */
	__u64 id;
	/* Of the socket (cgroup v2). */
	__u64 cgroup_id;
	/* CLOCK_MONOTONIC: connect() called, or, for a passive one, established. */
	__u64 start_ns;
	/* The handshake's end; 0 where it never ended. */
	__u64 established_ns;
	/* When the counters below were read. */
	__u64 updated_ns;
	/* Payload: sent for the first time, sent again, acknowledged by the peer, received in order. */
	__u64 bytes_sent;
	__u64 bytes_retransmitted;
	__u64 bytes_acked;
	__u64 bytes_received;
	/* Segments: all, and those with payload. */
	__u32 segs_out;
	__u32 segs_in;
	__u32 data_segs_out;
	__u32 data_segs_in;
	/* Segments sent again, SYNs included. */
	__u32 retransmits;
	/* Microseconds: smoothed round trip, its variation, the least one of the last minutes. 0: not measured. */
	__u32 srtt_us;
	__u32 rttvar_us;
	__u32 min_rtt_us;
	/* Congestion window, in segments. */
	__u32 cwnd;
	/* Inode of the network namespace. */
	__u32 netns;
	/* Who called connect(), or listen() for a passive one; 0 when that was before this program was attached. */
	__u32 pid;
	__u32 tgid;
	/* What the socket reports, mostly at the close: 0, ECONNREFUSED (111), ECONNRESET (104), ETIMEDOUT (110), ... */
	__s32 error;
	enum flow_state state;
	enum flow_direction direction;
	__be16 local_port;
	__be16 remote_port;
	/* AF_INET or AF_INET6. IPv4 over an IPv6 socket (::ffff:a.b.c.d) is given as IPv4, which is what the wire sees. */
	__u32 family;
	/* IPv4 takes the first 4 bytes. */
	__u8 local_address[16];
	__u8 remote_address[16];
	char comm[16];
	/* Largest payload of a segment, as of now. */
	__u32 mss;
};

struct flow_event {
	__u64 time_ns;
	enum flow_event_kind kind;
	/* The state before; flow.state is the one after. */
	enum flow_state old_state;
	/* FLOW_RTT: the sample in microseconds. FLOW_RETRANSMIT: segments sent again. Else 0. */
	__u32 sample;
	/* FLOW_RETRANSMIT: 0, or why they could not be sent (negative errno). */
	__s32 result;
	struct flow flow;
};

/* Filters, all of which must hold; the cgroup is where the program is attached. */
const volatile __u32 only_netns = 0; /* inode; 0: any */
const volatile __u32 only_tgid = 0;  /* see flow.tgid; 0: any */
const volatile __u16 only_port = 0;  /* host byte order, either side; 0: any */

/* What to report besides connect, established and close. */
const volatile bool want_states = true;
const volatile bool want_retransmits = false;
const volatile bool want_rtt = false;
/*
 * Counters in `flows` are refreshed by traffic, at most this often: at round-trip samples, which whoever sends data gets, and at
 * segments sent, which are acknowledgements for whoever receives it. ~0: only at changes of state, which costs least.
 */
const volatile __u64 refresh_ns = 100000000;

EBPF_RINGBUF(events, struct flow_event, 1024 * 1024);

/* Live connections by their socket's cookie. Entries go when the connection closes, so the size bounds what is tracked. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct flow);
} flows SEC(".maps");

/* Connections that `flows` had no room for: nothing is reported of them. */
__u64 untracked;

struct owner {
	__u32 pid;
	__u32 tgid;
	char comm[16];
};

/* Who listens. A socket that is accepted starts with a copy, since its handshake runs in nobody's context. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

/* The helper for the pid is open to sockops since 6.10 only; the task is since 5.8. */
static __always_inline void current_owner(struct owner *owner)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	owner->pid = BPF_CORE_READ(task, pid);
	owner->tgid = BPF_CORE_READ(task, tgid);
	BPF_CORE_READ_STR_INTO(&owner->comm, task, comm);
}

static __always_inline bool is_mapped_ipv4(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

static __always_inline void read_addresses(struct sock *sk, struct flow *flow)
{
	flow->local_port = bpf_htons(BPF_CORE_READ(sk, __sk_common.skc_num));
	flow->remote_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	__builtin_memset(flow->local_address, 0, sizeof(flow->local_address));
	__builtin_memset(flow->remote_address, 0, sizeof(flow->remote_address));
	flow->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	/* A kernel can be built without IPv6. */
	if (flow->family == AF_INET6 && bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		BPF_CORE_READ_INTO(&flow->local_address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&flow->remote_address, sk, __sk_common.skc_v6_daddr);
		if (!is_mapped_ipv4(flow->remote_address))
			return;
		flow->family = AF_INET;
		__builtin_memset(flow->local_address, 0, sizeof(flow->local_address));
		__builtin_memset(flow->remote_address, 0, sizeof(flow->remote_address));
	}
	BPF_CORE_READ_INTO((__be32 *)flow->local_address, sk, __sk_common.skc_rcv_saddr);
	BPF_CORE_READ_INTO((__be32 *)flow->remote_address, sk, __sk_common.skc_daddr);
}

static __always_inline bool peer_finished(struct sock *sk)
{
	/* tcp_fin() sets the flag, right after the FIN was counted in bytes_received. */
	return BPF_CORE_READ(sk, __sk_common.skc_flags) & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_DONE));
}

static __always_inline bool our_fin_acked(struct sock *sk, struct tcp_sock *tcp)
{
	/* During a callback for a change of state this is still the state before it. */
	switch (BPF_CORE_READ(sk, __sk_common.skc_state)) {
	case FLOW_STATE_FIN_WAIT1:
	case FLOW_STATE_FIN_WAIT2:
	case FLOW_STATE_CLOSING:
	case FLOW_STATE_LAST_ACK:
		return BPF_CORE_READ(tcp, snd_una) == BPF_CORE_READ(tcp, write_seq);
	}
	return false;
}

static __always_inline void read_counters(struct tcp_sock *tcp, struct flow *flow, __u64 now)
{
	struct sock *sk = (struct sock *)tcp;
	__u64 acked = BPF_CORE_READ(tcp, bytes_acked), received = BPF_CORE_READ(tcp, bytes_received);
	__u32 min_rtt = BPF_CORE_READ(tcp, rtt_min.s[0].v);

	flow->updated_ns = now;
	flow->bytes_retransmitted = BPF_CORE_READ(tcp, bytes_retrans);
	flow->bytes_sent = BPF_CORE_READ(tcp, bytes_sent) - flow->bytes_retransmitted;
	/* The SYN counts once it is acknowledged, and before that there is nothing to subtract it from. */
	if (flow->direction == FLOW_ACTIVE && acked > 0)
		acked--;
	if (our_fin_acked(sk, tcp) && acked > 0)
		acked--;
	flow->bytes_acked = acked;
	if (peer_finished(sk) && received > 0)
		received--;
	flow->bytes_received = received;
	flow->segs_out = BPF_CORE_READ(tcp, segs_out);
	flow->segs_in = BPF_CORE_READ(tcp, segs_in);
	flow->data_segs_out = BPF_CORE_READ(tcp, data_segs_out);
	flow->data_segs_in = BPF_CORE_READ(tcp, data_segs_in);
	flow->retransmits = BPF_CORE_READ(tcp, total_retrans);
	/* The kernel keeps eighths, and quarters. */
	flow->srtt_us = BPF_CORE_READ(tcp, srtt_us) >> 3;
	flow->rttvar_us = BPF_CORE_READ(tcp, mdev_us) >> 2;
	flow->min_rtt_us = min_rtt == ~0U ? 0 : min_rtt;
	flow->cwnd = BPF_CORE_READ(tcp, snd_cwnd);
	flow->mss = BPF_CORE_READ(tcp, mss_cache);
	flow->error = BPF_CORE_READ(sk, sk_err);
}

/*
 * The round trip just measured, microseconds. The kernel tells from Linux 6.10 on. Before that the callback comes when the deviation is
 * updated and srtt_us is not: of the first sample the deviation is made, doubled; later ones are of the segment acknowledged last.
 */
static __always_inline __u32 rtt_sample(struct bpf_sock_ops *ctx, struct tcp_sock *tcp)
{
	__u32 told = ctx->args[0];

	if (told || !bpf_core_field_exists(tcp->rack))
		return told;
	if (BPF_CORE_READ(tcp, srtt_us) == 0)
		return BPF_CORE_READ(tcp, mdev_us) >> 1;
	return BPF_CORE_READ(tcp, rack.rtt_us);
}

static __always_inline void report(struct flow *flow, enum flow_event_kind kind, enum flow_state old_state,
				   __u32 sample, __s32 result, __u64 now)
{
	struct flow_event *event = events_reserve();

	if (!event)
		return;
	event->time_ns = now;
	event->kind = kind;
	event->old_state = old_state;
	event->sample = sample;
	event->result = result;
	__builtin_memcpy(&event->flow, flow, sizeof(event->flow));
	events_submit(event);
}

static __always_inline bool port_matches(struct flow *flow)
{
	return bpf_ntohs(flow->local_port) == only_port || bpf_ntohs(flow->remote_port) == only_port;
}

/* Starts to track a connection; NULL when a filter does not hold, or there is no room. */
static __always_inline struct flow *track(struct bpf_sock_ops *ctx, struct tcp_sock *tcp, enum flow_direction direction,
					  const struct owner *owner, __u64 now)
{
	struct sock *sk = (struct sock *)tcp;
	struct flow flow = {};
	int flags = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG;

	flow.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (only_netns && flow.netns != only_netns)
		return NULL;
	if (only_tgid && (!owner || owner->tgid != only_tgid))
		return NULL;
	read_addresses(sk, &flow);
	if (only_port && !port_matches(&flow))
		return NULL;
	flow.id = bpf_get_socket_cookie(ctx);
	flow.cgroup_id = cgroup_id(socket_cgroup(sk));
	flow.start_ns = now;
	flow.updated_ns = now;
	flow.direction = direction;
	flow.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (owner) {
		flow.pid = owner->pid;
		flow.tgid = owner->tgid;
		__builtin_memcpy(flow.comm, owner->comm, sizeof(flow.comm));
	}
	if (bpf_map_update_elem(&flows, &flow.id, &flow, BPF_ANY)) {
		__sync_fetch_and_add(&untracked, 1);
		return NULL;
	}
	if (want_rtt || refresh_ns != ~0ULL)
		flags |= BPF_SOCK_OPS_RTT_CB_FLAG;
	if (refresh_ns != ~0ULL)
		flags |= BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | flags);
	return bpf_map_lookup_elem(&flows, &flow.id);
}

static __always_inline void on_connect(struct bpf_sock_ops *ctx, struct tcp_sock *tcp, __u64 now)
{
	struct owner owner = {};
	struct flow *flow;

	current_owner(&owner);
	flow = track(ctx, tcp, FLOW_ACTIVE, &owner, now);
	if (flow)
		report(flow, FLOW_CONNECT, FLOW_STATE_CLOSE, 0, 0, now);
}

static __always_inline void on_established(struct bpf_sock_ops *ctx, struct bpf_sock *sk, struct tcp_sock *tcp,
					   enum flow_direction direction, __u64 now)
{
	__u64 id = bpf_get_socket_cookie(ctx);
	struct flow *flow = bpf_map_lookup_elem(&flows, &id);
	enum flow_state old_state;

	if (!flow && direction == FLOW_PASSIVE)
		flow = track(ctx, tcp, direction, bpf_sk_storage_get(&owners, sk, NULL, 0), now);
	else if (!flow)
		flow = track(ctx, tcp, direction, NULL, now); /* connect() came before the program */
	if (!flow)
		return;
	/* The active side's state has changed already, the passive side's changes right after this. */
	old_state = direction == FLOW_ACTIVE ? FLOW_STATE_SYN_SENT : FLOW_STATE_SYN_RECV;
	flow->state = FLOW_STATE_ESTABLISHED;
	flow->established_ns = now;
	read_addresses((struct sock *)tcp, flow);
	read_counters(tcp, flow, now);
	report(flow, FLOW_ESTABLISHED, old_state, 0, 0, now);
}

static __always_inline void on_state(struct bpf_sock_ops *ctx, struct flow *flow, struct tcp_sock *tcp, __u64 now)
{
	enum flow_state old_state = ctx->args[0], new_state = ctx->args[1];

	read_counters(tcp, flow, now);
	flow->state = new_state;
	/* The kernel also tells of close() after shutdown(), which sets the state that there is (tcp_close_state): no change. */
	if (new_state == FLOW_STATE_CLOSE) {
		__u64 id = flow->id;

		report(flow, FLOW_CLOSE, old_state, 0, 0, now);
		bpf_map_delete_elem(&flows, &id);
	} else if (new_state != FLOW_STATE_ESTABLISHED && new_state != old_state && want_states) {
		report(flow, FLOW_STATE, old_state, 0, 0, now);
	}
}

SEC("sockops")
int tcp_flows(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tcp;
	struct owner *owner;
	struct flow *flow;
	__u64 id, now;

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_STATE_CB:
	case BPF_SOCK_OPS_RETRANS_CB:
	case BPF_SOCK_OPS_RTT_CB:
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		break;
	default:
		return 1;
	}
	tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (!tcp)
		return 1;
	now = bpf_ktime_get_ns();
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		owner = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (owner)
			current_owner(owner);
		return 1;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		on_connect(ctx, tcp, now);
		return 1;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		on_established(ctx, sk, tcp, FLOW_ACTIVE, now);
		return 1;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_established(ctx, sk, tcp, FLOW_PASSIVE, now);
		return 1;
	}

	id = bpf_get_socket_cookie(ctx);
	flow = bpf_map_lookup_elem(&flows, &id);
	if (!flow)
		return 1;
	switch (ctx->op) {
	case BPF_SOCK_OPS_STATE_CB:
		on_state(ctx, flow, tcp, now);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		read_counters(tcp, flow, now);
		if (want_retransmits)
			report(flow, FLOW_RETRANSMIT, flow->state, ctx->args[1], ctx->args[2], now);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		/* The kernel asks how long an option to leave room for, before each segment: none. */
		if (now - flow->updated_ns >= refresh_ns)
			read_counters(tcp, flow, now);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		if (!want_rtt && now - flow->updated_ns < refresh_ns)
			break;
		read_counters(tcp, flow, now);
		if (want_rtt)
			report(flow, FLOW_RTT, flow->state, rtt_sample(ctx, tcp), 0, now);
		break;
	}
	return 1;
}

char _license[] SEC("license") = "GPL";
