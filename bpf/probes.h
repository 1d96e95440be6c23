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
	__u32 netns = sk->skc_net.net->ns.inum;

	return netns == control.host_netns[0] || netns == control.host_netns[1];
}

/* A process has the name of its first thread; what others are called is their own affair. */
static __always_inline bool is_probing(const struct task_struct *task)
{
	const struct task_struct *leader = task->group_leader;
	struct process_name name = {};

#pragma unroll
	for (int i = 0; i < PROCESS_NAME; i++) {
		char c = leader->comm[i];

		if (!c)
			break;
		name.bytes[i] = c;
	}
	return bpf_map_lookup_elem(&probing_processes, &name);
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

/* A socket that was not accepted changes its state. */
static __always_inline void follow_connecting(struct tcp_sock *tcp, const struct sock_common *sk,
					      int oldstate, int newstate)
{
	struct handshake *handshake;

	if (!control.probing || !is_in_host(sk))
		return;
	if (newstate == TCP_SYN_SENT) {
		if (is_probing(bpf_get_current_task_btf()))
			enter_probing(tcp);
		return;
	}
	if (oldstate != TCP_SYN_SENT && newstate != TCP_CLOSE)
		return;
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

/* Whether the accepting end of a handshake that is over belongs to a probe. */
static __always_inline bool is_probe(const struct tcp_sock *tcp)
{
	struct handshake handshake = {};

	if (!control.probing)
		return false;
	handshake.accepting = tcp->snd_una;
	handshake.connecting = tcp->rcv_nxt;
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

/* What a change of an accepted connection does to the counters of its port. */
static __always_inline struct change account_for(struct tcp_sock *tcp, const struct port_key *key,
						 int counted_under, int newstate)
{
	struct change change;

	if (!account_shows_whose(counted_under, newstate))
		return account(counted_under, newstate, 0);
	change = account(counted_under, newstate, is_probe(tcp));
	if (change.arrived && is_ignored(key, (struct sock_common *)tcp))
		change.arrived = 0;
	return change;
}

#endif
