/* SPDX-License-Identifier: GPL-2.0 */
/* Access to the maps: counters, wake-ups, losses. */
#ifndef DRAINMON_COUNTERS_H
#define DRAINMON_COUNTERS_H

static __always_inline void count_lost(__u32 place)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &place);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline struct counted_changes *counted_here(void)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(&counted_changes, &first);
}

static __always_inline __u32 netns_of(const struct sock_common *sk)
{
	return sk->skc_net.net->ns.inum;
}

static __always_inline struct port_key port_of(const struct sock_common *sk)
{
	struct port_key key = {
		.netns = netns_of(sk),
		.port = sk->skc_num,
	};

	return key;
}

/* The port of a socket whose state changes: in a change to CLOSE, skc_num may be 0 already. */
static __always_inline __u16 local_port(const struct sock *sk, int newstate)
{
	struct tcp_sock *tcp;

	if (newstate != TCP_CLOSE)
		return sk->__sk_common.skc_num;
	tcp = bpf_skc_to_tcp_sock((void *)sk);
	return tcp ? bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport) : 0;
}

/* Whether a port number is counted in any namespace, which ends most events here. */
static __always_inline bool may_be_counted(__u16 port)
{
	__u32 word = port / 64;
	__u64 *bits = bpf_map_lookup_elem(&port_numbers, &word);

	return bits && *bits >> port % 64 & 1;
}

static __always_inline struct watch *find_watch(const struct port_key *key)
{
	return control.watching ? bpf_map_lookup_elem(&watches, key) : 0;
}

/* One wake-up for any number of changes, until user space looks. */
static __always_inline void wake(struct watch *watch, const struct port_key *key)
{
	if (!watch || watch->woken)
		return;
	watch->woken = 1;
	if (bpf_ringbuf_output(&events, (void *)key, sizeof(*key), 0))
		count_lost(LOST_EVENT);
}

/*
 * Atomic: a run of `on_dropped_state` may interrupt one of `on_state` on its CPU, and before 6.1
 * one of `on_state` another.
 */
static __always_inline void apply(struct port_counters *counters, struct change change)
{
	__sync_fetch_and_add(&counters->changes, 1);
	if (change.down)
		__sync_fetch_and_add(&counters->by_state[change.down & (STATE_SLOTS - 1)], -1);
	if (change.up)
		__sync_fetch_and_add(&counters->by_state[change.up & (STATE_SLOTS - 1)], 1);
	if (change.accepted)
		__sync_fetch_and_add(&counters->accepted, 1);
	if (change.arrived) {
		__sync_fetch_and_add(&counters->arrivals, 1);
		counters->last_accept_ns = bpf_ktime_get_ns();
	}
	if (change.probed)
		__sync_fetch_and_add(&counters->probes, 1);
	if (change.cut)
		__sync_fetch_and_add(&counters->cut, 1);
}

static __always_inline void add(struct port_counters *sum, const struct port_counters *more)
{
	sum->changes += more->changes;
	sum->accepted += more->accepted;
	if (more->last_accept_ns > sum->last_accept_ns)
		sum->last_accept_ns = more->last_accept_ns;
	sum->probes += more->probes;
	sum->arrivals += more->arrivals;
	sum->cut += more->cut;
#pragma unroll
	for (int slot = 0; slot < STATE_SLOTS; slot++)
		sum->by_state[slot] += more->by_state[slot];
}

/* Writes the counters of a port, over all CPUs. */
static __always_inline int list_counters(struct bpf_iter__bpf_map_elem *ctx)
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

#endif
