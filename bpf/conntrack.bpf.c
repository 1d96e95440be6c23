// SPDX-License-Identifier: GPL-2.0
/*
 * TCP state on the ports that user space asks for: counters kept by the
 * tracepoint, exact lists by the iterators.
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
#include "connections.h"
#include "snapshot.h"

char LICENSE[] SEC("license") = "GPL";

/* The shared types that no map names, kept in BTF for the test of user space's mirror. */
const volatile struct {
	struct socket_record record;
	struct port_record port_record;
	enum lost_place place;
	enum process_role role;
	enum record_flags flags;
	enum tcp_state state;
	enum counted_as counted_as;
} wire_types SEC(".rodata.types");

/*
 * The current task means little here: softirq runs under whoever it interrupted.
 * LISTEN and SYN_SENT are set by the process that listens or connects, and files
 * are closed by the process that ends. The socket still has its old state.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, const int oldstate, const int newstate)
{
	struct port_counters *counters;
	struct port_key key;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	key.port = local_port(sk, newstate);
	if (may_be_counted(key.port)) {
		key.pad = 0;
		key.netns = netns_of(&sk->__sk_common);
		counters = bpf_map_lookup_elem(&ports, &key);
		if (counters)
			count_change(sk, &key, counters, oldstate, newstate);
	}
	if (newstate == TCP_LISTEN)
		announce_listener();
	else if (control.probing && (newstate == TCP_SYN_SENT || sk->sk_bpf_storage))
		follow_connecting(sk, oldstate, newstate);
	return 0;
}

/* The reader's thread is in the namespace whose sockets are listed; LISTEN comes first. */
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

/* Lists the sockets on ports that are counted. */
SEC("iter/tcp")
int snapshot(struct bpf_iter__tcp *ctx)
{
	return list_socket(ctx, false);
}

/* Lists all: some ports of the reader's pod have found no room among those counted. */
SEC("iter/tcp")
int every_socket(struct bpf_iter__tcp *ctx)
{
	return list_socket(ctx, true);
}

/* Lists the counters of all ports. */
SEC("iter/bpf_map_elem")
int sums(struct bpf_iter__bpf_map_elem *ctx)
{
	struct port_counters *each = ctx->value;
	struct port_key *key = ctx->key;
	struct port_record record = {};

	if (!key || !each)
		return 0;
	record.key = *key;
	for (__u32 cpu = 0; cpu < host.cpus; cpu++, each++)
		add(&record.sum, each);
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

	if (!task || !file || !has_role(task, ROLE_PROBER))
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
