/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The record of a socket in a snapshot. Since kernel 5.15 the iterator holds the
 * socket's lock, so that its state does not change.
 */
#ifndef DRAINMON_SNAPSHOT_H
#define DRAINMON_SNAPSHOT_H

static __always_inline __u32 since_ms(__u32 jiffies)
{
	__u32 ticks = (__u32)bpf_jiffies64() - jiffies;

	/* A stamp from just now may be ahead of this CPU's reading. */
	return (__s32)ticks < 0 ? 0 : ticks * host.tick_ns / 1000000;
}

/* The fields of every kind of socket. */
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

/* Whether a connection is a probe's that is older than the programs, and idle since then. */
static __always_inline bool is_known_handshake(const struct tcp_sock *tcp)
{
	struct handshake handshake = handshake_of(tcp);

	return control.probing && bpf_map_lookup_elem(&handshakes, &handshake);
}

static __always_inline void describe_full(struct sock_common *sk, struct socket_record *record)
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
	record->rto_ms = tcp->inet_conn.icsk_rto * host.tick_ns / 1000000;
	record->retransmits = tcp->inet_conn.icsk_retransmits;
	record->probes_out = tcp->inet_conn.icsk_probes_out;
	if (!tcp->inet_conn.icsk_inet.sk.sk_socket)
		record->flags |= RECORD_ORPHAN;
	if (tcp->inet_conn.icsk_inet.sk.sk_user_data)
		record->flags |= RECORD_BYPASSED;
	if (bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp)
		record->flags |= RECORD_MPTCP;
	connection = find_connection(&tcp->inet_conn.icsk_inet.sk);
	if (connection)
		record->opened_ns = connection->opened_ns;
	if (connection ? connection->is_probe : is_known_handshake(tcp))
		record->flags |= RECORD_PROBE;
}

/* Writes a socket's record. Sockets are those of the reading thread's namespace, listeners first.
 */
static __always_inline int list_socket(struct bpf_iter__tcp *ctx, bool every_port)
{
	struct sock_common *sk = ctx->sk_common;
	struct socket_record record = {};
	struct port_key key;

	if (!sk)
		return 0;
	key = port_of(sk);
	if (!every_port && !bpf_map_lookup_elem(&ports, &key))
		return 0;
	describe(sk, &record);
	if (!(record.flags & (RECORD_TIMEWAIT | RECORD_REQUEST)))
		describe_full(sk, &record);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

#endif
