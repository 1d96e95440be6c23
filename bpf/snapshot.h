/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One socket of a snapshot: its record for user space, and its entry in the
 * counters if it has none or a wrong one (older than the programs, or an event
 * was missed). Since kernel 5.15 the iterator holds the socket's lock, so that its
 * state stands still.
 */
#ifndef DRAINMON_SNAPSHOT_H
#define DRAINMON_SNAPSHOT_H

const volatile __u64 tick_ns = 4000000; /* a jiffy; user space sets it before loading */

static __always_inline __u32 since_ms(__u32 jiffies)
{
	__u32 ticks = (__u32)bpf_jiffies64() - jiffies;

	/* A stamp from just now may be ahead of this CPU's reading. */
	return (__s32)ticks < 0 ? 0 : ticks * tick_ns / 1000000;
}

/* What every kind of socket has. */
static __always_inline void describe(struct sock_common *sk, struct socket_record *record)
{
	record->local_port = sk->skc_num;
	record->remote_port = bpf_ntohs(sk->skc_dport);
	record->state = sk->skc_state;
	if (is_ipv6(sk))
		record->flags |= RECORD_IPV6;
	copy_local(record->local, sk);
	copy_remote(record->remote, sk);
	if (record->state == TCP_TIME_WAIT) {
		struct tcp_timewait_sock *minisocket = bpf_skc_to_tcp_timewait_sock(sk);

		record->flags |= RECORD_TIMEWAIT;
		if (minisocket)
			record->state = minisocket->tw_sk.tw_substate;
	} else if (record->state == TCP_NEW_SYN_RECV) {
		record->flags |= RECORD_REQUEST;
		record->state = TCP_SYN_RECV;
	}
}

static __always_inline bool socket_is_locked(void)
{
	return bpf_core_type_exists(struct bpf_tcp_iter_state);
}

/* User space has added the port, whose listener nobody saw: its connections are old. */
static __always_inline bool was_found_late(const struct port_counters *counters)
{
	const struct net *net = 0;

	return bpf_core_field_exists(net->net_cookie) && !counters->netns_cookie;
}

static __always_inline struct connection *enter(struct tcp_sock *tcp, const struct port_key *key,
						struct port_counters *counters, __u8 state)
{
	struct connection *connection = bpf_sk_storage_get(&connections, tcp, 0, 0);
	__u8 counted_under = connection ? connection->state : 0;
	bool seeded = control.seeded && !was_found_late(counters);
	struct change change;

	/* Without the lock the tracepoint may be ahead of what we see. */
	if (connection &&
	    (counted_under == state || counted_under == COUNTED_AS_PROBE || !socket_is_locked()))
		return connection;
	change = account_for(tcp, key, counted_under, state);
	if (!change.enter)
		return connection;
	if (connection) {
		connection->state = change.enter;
	} else {
		struct connection new = {
			.netns = key->netns,
			.port = key->port,
			.state = change.enter,
		};

		if (seeded)
			new.opened_ns = bpf_ktime_get_ns();
		else
			change.accepted = change.arrived = change.probed = 0;
		connection =
			bpf_sk_storage_get(&connections, tcp, &new, BPF_SK_STORAGE_GET_F_CREATE);
		if (!connection) {
			count_lost(LOST_CONNECTION);
			return 0;
		}
	}
	if (seeded)
		count_lost(LOST_CHANGE);
	apply(counters, change);
	return connection;
}

static __always_inline void describe_full(struct sock_common *sk, const struct port_key *key,
					  struct port_counters *counters,
					  struct socket_record *record)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	struct connection *connection;

	if (!tcp)
		return;
	if (record->state == TCP_LISTEN) {
		record->unread = tcp->inet_conn.icsk_inet.sk.sk_ack_backlog;
		record->unsent = tcp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
		return;
	}
	record->bytes_received = tcp->bytes_received;
	record->bytes_sent = tcp->bytes_sent;
	record->unsent = tcp->write_seq - tcp->snd_una;
	record->unread = tcp->rcv_nxt - tcp->copied_seq;
	record->idle_in_ms = since_ms(tcp->inet_conn.icsk_ack.lrcvtime);
	record->idle_out_ms = since_ms(tcp->lsndtime);
	record->idle_ack_ms = since_ms(tcp->rcv_tstamp);
	record->rto_ms = tcp->inet_conn.icsk_rto * tick_ns / 1000000;
	record->retransmits = tcp->inet_conn.icsk_retransmits;
	record->probes_out = tcp->inet_conn.icsk_probes_out;
	if (!tcp->inet_conn.icsk_inet.sk.sk_socket)
		record->flags |= RECORD_ORPHAN;
	if (tcp->inet_conn.icsk_inet.sk.sk_user_data)
		record->flags |= RECORD_BYPASSED;
	if (bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp)
		record->flags |= RECORD_MPTCP;
	if (!counters)
		return;
	connection = enter(tcp, key, counters, record->state);
	if (!connection)
		return;
	record->opened_ns = connection->opened_ns;
	if (connection->state == COUNTED_AS_PROBE)
		record->flags |= RECORD_PROBE;
}

#endif
