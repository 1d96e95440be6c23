/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Connections that a drain does not wait for: those of probing processes of the host (kubelet), and
 * those of ignored peers.
 *
 * A probing process is known when its socket begins to connect: the process itself sets SYN_SENT.
 * The accepting end is recognised after the handshake, by its sequence numbers; the connecting end
 * is ESTABLISHED first, as its ACK leaves after that. So traffic from the node's address is never
 * taken for a probe, and no address translation hides a probe.
 */
#ifndef DRAINMON_PROBES_H
#define DRAINMON_PROBES_H

static __always_inline bool is_in_host(const struct sock_common *sk)
{
	__u32 netns = netns_of(sk);

	return netns == control.host_netns[0] || netns == control.host_netns[1];
}

/* A process has the name of its first thread; other threads may have other names. */
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

/* A socket begins to listen: announce it, if its process is a server. */
static __always_inline void announce_listener(void)
{
	struct port_key listeners = LISTENERS;

	if (has_role(bpf_get_current_task_btf(), ROLE_SERVER))
		wake(bpf_map_lookup_elem(&watches, &listeners), &listeners);
}

/* A probing process connects: record its socket. */
static __always_inline struct handshake *record_probing(struct tcp_sock *tcp)
{
	struct handshake none = {};
	struct handshake *handshake =
		bpf_sk_storage_get(&probing, tcp, &none, BPF_SK_STORAGE_GET_F_CREATE);

	if (!handshake)
		count_lost(LOST_PROBE);
	return handshake;
}

/* The handshake is over at the connecting end: record it for the accepting end. */
static __always_inline void announce_probe(const struct tcp_sock *tcp, struct handshake *handshake)
{
	__u32 value = 1;

	handshake->accepting = tcp->rcv_nxt;
	handshake->connecting = tcp->snd_una;
	if (bpf_map_update_elem(&handshakes, handshake, &value, BPF_ANY))
		count_lost(LOST_PROBE);
}

/* Follows sockets from SYN_SENT to ESTABLISHED or CLOSE. */
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
			record_probing(tcp);
		return;
	}
	handshake = bpf_sk_storage_get(&probing, tcp, 0, 0);
	if (!handshake)
		return;
	if (newstate == TCP_ESTABLISHED) {
		announce_probe(tcp, handshake);
	} else {
		bpf_map_delete_elem(&handshakes, handshake);
		bpf_sk_storage_delete(&probing, tcp); /* another process may reuse the socket */
	}
}

/* Announces a new listener of a server, and follows connections of probing processes. */
static __always_inline void announce(const struct sock *sk, int oldstate, int newstate)
{
	if (newstate == TCP_LISTEN)
		announce_listener();
	else if (control.probing && (newstate == TCP_SYN_SENT || sk->sk_bpf_storage))
		follow_connecting(sk, oldstate, newstate);
}

/* Records an open file of a probing process, if it is a connection of the host's. */
static __always_inline void record_open_probe(struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct handshake *handshake;
	struct tcp_sock *tcp;

	if (!socket || !socket->sk || !is_in_host(&socket->sk->__sk_common) ||
	    socket->sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return;
	tcp = bpf_skc_to_tcp_sock(socket->sk);
	if (!tcp)
		return;
	handshake = record_probing(tcp);
	if (handshake)
		announce_probe(tcp, handshake);
}

/* The handshake of an accepted connection, as long as it has carried no byte. */
static __always_inline struct handshake handshake_of(const struct tcp_sock *tcp)
{
	struct handshake handshake = {
		.accepting = tcp->snd_una,
		.connecting = tcp->rcv_nxt,
	};

	return handshake;
}

/* Whether an accepted connection is a probe's, just after its handshake. */
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
