/* SPDX-License-Identifier: GPL-2.0 */
/* State changes on counted ports. */
#ifndef DRAINMON_CONNECTIONS_H
#define DRAINMON_CONNECTIONS_H

/* Most sockets have no storage, and then cost no call. */
static __always_inline struct connection *find_connection(const struct sock *sk)
{
	if (!sk->sk_bpf_storage)
		return 0;
	return bpf_sk_storage_get(&connections, (void *)sk, 0, 0);
}

static __always_inline bool record_opened(const struct sock *sk, bool probe)
{
	struct connection new = {
		.opened_ns = bpf_ktime_get_ns(),
		.is_probe = probe,
	};

	if (bpf_sk_storage_get(&connections, (void *)sk, &new, BPF_SK_STORAGE_GET_F_CREATE))
		return true;
	count_lost(probe ? LOST_PROBE : LOST_CONNECTION);
	return false;
}

/* Whether a connection is a probe's, which is known and recorded after its handshake. */
static __always_inline bool belongs_to_probe(const struct sock *sk, int oldstate, int newstate,
					     bool watched)
{
	struct connection *connection;
	bool probe;

	if (oldstate == TCP_SYN_RECV) {
		probe = is_probe(sk);
		if (newstate == TCP_CLOSE || !(probe || watched))
			return probe;
		/* A probe without a record counts as traffic: its later changes do, too. */
		return record_opened(sk, probe) && probe;
	}
	connection = find_connection(sk);
	if (!connection)
		return false;
	probe = connection->is_probe;
	if (newstate == TCP_CLOSE)
		bpf_sk_storage_delete(&connections, (void *)sk);
	return probe;
}

/*
 * Whether an exiting process closes a connection in use: nginx itself closes
 * finished connections, and an unused one has nothing to lose. A peer's reset
 * that is processed in an exiting task is no cut: close(2) has not shut down
 * both directions. Connections in the accept queue have no sk_socket yet.
 */
static __always_inline bool is_cut(const struct sock *sk, const struct port_key *key, int oldstate,
				   int newstate)
{
	struct tcp_sock *tcp;

	if (oldstate != TCP_ESTABLISHED && oldstate != TCP_CLOSE_WAIT)
		return false;
	if (newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK && newstate != TCP_CLOSE)
		return false;
	if (!(bpf_get_current_task_btf()->flags & PF_EXITING))
		return false;
	if (sk->sk_socket && sk->sk_shutdown != SHUTDOWN_MASK)
		return false;
	tcp = bpf_skc_to_tcp_sock((void *)sk);
	if (!tcp || !(tcp->bytes_received || tcp->bytes_sent))
		return false;
	return !is_ignored(key, &sk->__sk_common);
}

static __always_inline void count_change(const struct sock *sk, const struct port_key *key,
					 struct port_counters *counters, int oldstate, int newstate)
{
	struct watch *watch = find_watch(key);
	bool probe = belongs_to_probe(sk, oldstate, newstate, watch);
	struct change change = account(oldstate, newstate, probe);

	if (change.arrived && is_ignored(key, &sk->__sk_common))
		change.arrived = 0;
	change.cut = !probe && is_cut(sk, key, oldstate, newstate);
	apply(counters, change);
	wake(watch, key);
}

/* Counts a change on a counted port. */
static __always_inline void count(const struct sock *sk, int oldstate, int newstate)
{
	struct port_counters *counters;
	struct port_key key;

	key.port = local_port(sk, newstate);
	if (!may_be_counted(key.port))
		return;
	key.pad = 0;
	key.netns = netns_of(&sk->__sk_common);
	counters = bpf_map_lookup_elem(&ports, &key);
	if (counters)
		count_change(sk, &key, counters, oldstate, newstate);
}

#endif
