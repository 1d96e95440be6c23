/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections that do not hold a drain: those of probing processes of the host (kubelet), and
 * those of peers that a drain ignores.
 *
 * A probing process is known when its socket begins to connect: SYN_SENT is set by the process
 * itself. The connection's other end is recognised by the handshake's sequence numbers, once it is
 * over; the connecting end is ESTABLISHED first, as the ACK leaves after that. So traffic that
 * merely has the node's address is never taken for a probe, and no translation hides one.
 */
#ifndef DRAINMON_PROBES_H
#define DRAINMON_PROBES_H

static __always_inline bool is_in_host(const struct sock_common *sk)
{
	__u32 netns = netns_of(sk);

	return netns == control.host_netns[0] || netns == control.host_netns[1];
}

/* A process has the name of its first thread; what others are called is their own affair. */
static __always_inline bool has_role(const struct task_struct *task, __u32 role)
{
	const struct task_struct *leader = task->group_leader;
	struct process_name name = {};
	__u32 *roles;

#pragma unroll
	for (int i = 0; i < PROCESS_NAME; i++) {
		char c = leader->comm[i];

		if (!c)
			break;
		name.bytes[i] = c;
	}
	roles = bpf_map_lookup_elem(&processes, &name);
	return roles && *roles & role;
}

/* Called where a socket begins to listen. */
static __always_inline void announce_listener(void)
{
	struct port_key listeners = LISTENERS;

	if (has_role(bpf_get_current_task_btf(), ROLE_SERVER))
		wake(bpf_map_lookup_elem(&watches, &listeners), &listeners);
}

/* A probing process connects: remember its socket. */
static __always_inline struct handshake *enter_probing(struct tcp_sock *tcp)
{
	struct handshake none = {};
	struct handshake *handshake =
		bpf_sk_storage_get(&probing, tcp, &none, BPF_SK_STORAGE_GET_F_CREATE);

	if (!handshake)
		count_lost(LOST_PROBE);
	return handshake;
}

/* The handshake is over at the connecting end: let the other one know. */
static __always_inline void announce_probe(const struct tcp_sock *tcp, struct handshake *handshake)
{
	__u32 value = 1;

	handshake->accepting = tcp->rcv_nxt;
	handshake->connecting = tcp->snd_una;
	if (bpf_map_update_elem(&handshakes, handshake, &value, BPF_ANY))
		count_lost(LOST_PROBE);
}

/* A socket begins to connect, or one that may have begun so changes its state. */
static __always_inline void follow_connecting(const struct sock *sk, int oldstate, int newstate)
{
	struct handshake *handshake;
	struct tcp_sock *tcp;

	if (oldstate != TCP_SYN_SENT && newstate != TCP_SYN_SENT && newstate != TCP_CLOSE)
		return;
	if (!is_in_host(&sk->__sk_common))
		return;
	tcp = bpf_skc_to_tcp_sock((void *)sk);
	if (!tcp)
		return;
	if (newstate == TCP_SYN_SENT) {
		if (has_role(bpf_get_current_task_btf(), ROLE_PROBER))
			enter_probing(tcp);
		return;
	}
	handshake = bpf_sk_storage_get(&probing, tcp, 0, 0);
	if (!handshake)
		return;
	if (newstate == TCP_ESTABLISHED) {
		announce_probe(tcp, handshake);
	} else {
		bpf_map_delete_elem(&handshakes, handshake);
		bpf_sk_storage_delete(&probing, tcp); /* it may be used again, by another */
	}
}

/* By what the other end of an accepted connection knows it, as long as no byte has gone. */
static __always_inline struct handshake handshake_of(const struct tcp_sock *tcp)
{
	struct handshake handshake = {
		.accepting = tcp->snd_una,
		.connecting = tcp->rcv_nxt,
	};

	return handshake;
}

/* Whether the accepting end of a handshake that is over belongs to a probe. */
static __always_inline bool is_probe(const struct sock *sk)
{
	struct handshake handshake;
	struct tcp_sock *tcp;

	if (!control.probing)
		return false;
	tcp = bpf_skc_to_tcp_sock((void *)sk);
	if (!tcp)
		return false;
	handshake = handshake_of(tcp);
	if (!bpf_map_lookup_elem(&handshakes, &handshake))
		return false;
	bpf_map_delete_elem(&handshakes, &handshake);
	return true;
}

static __always_inline bool is_ignored(const struct port_key *port, const struct sock_common *sk)
{
	struct peer_key peer = {};
	__u32 *ignored;

	if (!control.ignoring)
		return false;
	peer.bits = 8 * (sizeof(peer) - sizeof(peer.bits));
	peer.port = *port;
	copy_remote(peer.address, sk);
	ignored = bpf_map_lookup_elem(&ignored_peers, &peer);
	return ignored && *ignored;
}

#endif
