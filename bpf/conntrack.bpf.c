// SPDX-License-Identifier: GPL-2.0
/*
 * TCP state of every listening port of the node: counters kept by the
 * tracepoint, exact lists by the iterator.
 */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "account.h"
#include "conntrack.h"
#include "maps.h"

#include "address.h"
#include "counters.h"
#include "probes.h"
#include "snapshot.h"

char LICENSE[] SEC("license") = "GPL";

/* The shared types that no map names, kept in BTF for the test of user space's mirror. */
const volatile struct {
	struct event event;
	struct socket_record record;
	enum event_kind kind;
	enum lost_place place;
	enum record_flags flags;
	enum tcp_state state;
	enum counted_as counted_as;
} wire_types SEC(".rodata.types");

/*
 * Whether a process that ends closes a connection in use: nginx closes what it
 * has finished itself. One that was never used has nothing to lose. Not what a
 * peer's reset closes under a task of its own that ends: close(2) shuts both
 * ways first, and what is in the accept queue has no file yet.
 */
static __always_inline bool is_cut(const struct tcp_sock *tcp, const struct port_key *key,
				   int counted_under, int newstate)
{
	const struct sock *sk = &tcp->inet_conn.icsk_inet.sk;

	if (counted_under != TCP_ESTABLISHED && counted_under != TCP_CLOSE_WAIT)
		return false;
	if (newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK && newstate != TCP_CLOSE)
		return false;
	if (!(bpf_get_current_task_btf()->flags & PF_EXITING))
		return false;
	if (sk->sk_socket && sk->sk_shutdown != SHUTDOWN_MASK)
		return false;
	return (tcp->bytes_received || tcp->bytes_sent) && !is_ignored(key, &sk->__sk_common);
}

/*
 * The current task means little here: softirq runs under whoever it interrupted.
 * SYN_SENT is set by the process that connects, and files are closed by the
 * process that ends. The socket still has its old state.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, const int oldstate, const int newstate)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock((void *)sk);
	struct port_counters *counters;
	struct connection *connection;
	struct port_key key = {};
	struct change change;
	__u8 counted_under = 0;

	if (!tcp)
		return 0;

	connection = bpf_sk_storage_get(&connections, tcp, 0, 0);
	if (connection) {
		key.netns = connection->netns;
		key.port = connection->port;
		counters = find_port(&key);
		counted_under = connection->state;
	} else if (account_is_passive(oldstate, newstate)) {
		key = port_of(&sk->__sk_common);
		/* SYN_RECV is left by simultaneous active opens, too. */
		counters = oldstate == TCP_LISTEN ? enter_port(&key, &sk->__sk_common)
						  : find_port(&key);
		if (!counters)
			return 0;
	} else {
		if (newstate == TCP_LISTEN && sk->__sk_common.skc_num) {
			key = port_of(&sk->__sk_common);
			enter_port(&key, &sk->__sk_common);
			send_event(&key, EVENT_LISTENER);
			wake(&key);
		} else if (oldstate == TCP_LISTEN) {
			key = port_of(&sk->__sk_common);
			wake(&key);
		} else {
			follow_connecting(tcp, &sk->__sk_common, oldstate, newstate);
		}
		return 0;
	}

	change = account_for(tcp, &key, counted_under, newstate);
	change.cut = is_cut(tcp, &key, counted_under, newstate);
	if (!change.enter) {
		if (connection)
			bpf_sk_storage_delete(&connections, tcp);
	} else if (connection) {
		connection->state = change.enter;
	} else {
		struct connection new = {
			.opened_ns = bpf_ktime_get_ns(),
			.netns = key.netns,
			.port = key.port,
			.state = change.enter,
		};

		if (!bpf_sk_storage_get(&connections, tcp, &new, BPF_SK_STORAGE_GET_F_CREATE)) {
			/* It could never leave its state again: count the open only. */
			count_lost(LOST_CONNECTION);
			change.enter = 0;
		}
	}
	if (counters)
		apply(counters, change);
	wake(&key);
	return 0;
}

/*
 * Lists the sockets of the namespace that the reader's thread is in; LISTEN
 * comes first. Those on a port that never listened are left out, unless the map
 * of ports has been full: then nobody knows.
 */
SEC("iter/tcp")
int snapshot(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct socket_record record = {};
	struct port_counters *counters;
	struct port_key key;

	if (!sk)
		return 0;

	key = port_of(sk);
	counters = sk->skc_state == TCP_LISTEN ? enter_port(&key, sk) : find_port(&key);
	if (!counters && !was_lost(LOST_PORT))
		return 0;
	describe(sk, &record);
	if (!(record.flags & (RECORD_TIMEWAIT | RECORD_REQUEST)))
		describe_full(sk, &key, counters, &record);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/*
 * Lists nothing: announces the connections that probing processes opened before
 * the programs were there. Those on which nothing is on its way are recognised
 * when their other end is listed.
 */
SEC("iter/task_file")
int find_probing(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct handshake *handshake;
	struct socket *socket;
	struct tcp_sock *tcp;

	if (!task || !file || !is_probing(task))
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket || !socket->sk || !is_in_host(&socket->sk->__sk_common) ||
	    socket->sk->__sk_common.skc_state != TCP_ESTABLISHED)
		return 0;
	tcp = bpf_skc_to_tcp_sock(socket->sk);
	if (!tcp)
		return 0;
	handshake = enter_probing(tcp);
	if (handshake)
		announce_probe(tcp, handshake);
	return 0;
}
