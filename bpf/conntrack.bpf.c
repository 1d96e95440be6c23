// SPDX-License-Identifier: GPL-2.0
/*
 * TCP state on the ports that user space registers: the tracepoint keeps
 * counters, the iterators list sockets exactly.
 */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "account.h"
#include "conntrack.h"
#include "dropped.h"
#include "maps.h"

#include "address.h"
#include "counters.h"
#include "probes.h"
#include "connections.h"
#include "snapshot.h"

char LICENSE[] SEC("license") = "GPL";

/* The shared types that no map uses, kept in BTF for the test of user space's mirror. */
const volatile struct {
	struct socket_record record;
	struct port_record port_record;
	enum lost_place place;
	enum process_role role;
	enum record_flags flags;
	enum tcp_state state;
	enum counted_as counted_as;
	struct counted_changes counted_changes;
} wire_types SEC(".rodata.types");

/*
 * The current task is mostly arbitrary: softirq runs in the task that it
 * interrupted. But the process that listens or connects sets LISTEN or SYN_SENT,
 * and an exiting process closes its files. The socket still has its old state.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, const int oldstate, const int newstate)
{
	struct counted_changes *here;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	count(sk, oldstate, newstate);
	announce(sk, oldstate, newstate);
	here = host.preemptible ? counted_here() : 0;
	if (here)
		record_counted(here, (__u64)sk);
	return 0;
}

/* Attached after `on_state`, where tracing programs can be preempted. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_dropped_state, const struct sock *sk, const int oldstate, const int newstate)
{
	struct counted_changes *here;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	here = counted_here();
	if (!here)
		return 0;
	if (begin_second(here, (__u64)sk)) {
		count(sk, oldstate, newstate);
		announce(sk, oldstate, newstate);
	}
	end_second(here);
	return 0;
}

/* Lists the sockets on counted ports. */
SEC("iter/tcp")
int snapshot(struct bpf_iter__tcp *ctx)
{
	return list_socket(ctx, false);
}

/* Lists all sockets: for a pod with ports that are not counted. */
SEC("iter/tcp")
int every_socket(struct bpf_iter__tcp *ctx)
{
	return list_socket(ctx, true);
}

/* Lists the counters of all ports. */
SEC("iter/bpf_map_elem")
int sums(struct bpf_iter__bpf_map_elem *ctx)
{
	return list_counters(ctx);
}

/*
 * Lists nothing: records the connections that probing processes opened before
 * the programs were loaded. Idle ones are recognised when the iterators list
 * their other end.
 */
SEC("iter/task_file")
int find_probing(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (task && file && has_role(task, ROLE_PROBER))
		record_open_probe(file);
	return 0;
}
