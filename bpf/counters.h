/* SPDX-License-Identifier: GPL-2.0 */
/* Reading and changing the maps: ports, connections, wake-ups. */
#ifndef DRAINMON_COUNTERS_H
#define DRAINMON_COUNTERS_H

static __always_inline void count_lost(__u32 place)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &place);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline bool was_lost(__u32 place)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &place);

	return count && *count;
}

static __always_inline void send_event(const struct port_key *key, __u32 kind)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_lost(LOST_EVENT);
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->key = *key;
	event->kind = kind;
	event->pad = 0;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline struct port_counters *find_port(const struct port_key *key)
{
	return bpf_map_lookup_elem(&ports, key);
}

static __always_inline __u64 cookie_of(const struct sock_common *sk)
{
	struct net *net = sk->skc_net.net;

	/* Given to every namespace from its beginning since kernel 5.12. */
	return bpf_core_field_exists(net->net_cookie) ? net->net_cookie : 0;
}

static __always_inline struct port_counters *enter_port(const struct port_key *key,
							const struct sock_common *sk)
{
	struct port_counters *counters = find_port(key);
	struct port_counters zero = {.netns_cookie = cookie_of(sk)};

	if (counters && counters->netns_cookie == zero.netns_cookie)
		return counters;
	bpf_map_update_elem(&ports, key, &zero, counters ? BPF_EXIST : BPF_NOEXIST);
	counters = find_port(key);
	if (!counters)
		count_lost(LOST_PORT);
	return counters;
}

/* One wake-up for any number of changes, until user space looks. */
static __always_inline void wake(const struct port_key *key)
{
	struct watch *watch;

	if (!control.watching)
		return;
	watch = bpf_map_lookup_elem(&watches, key);
	if (!watch || watch->woken)
		return;
	watch->woken = 1;
	send_event(key, EVENT_CHANGE);
}

static __always_inline void apply(struct port_counters *counters, struct change change)
{
	if (change.leave)
		__sync_fetch_and_add(&counters->by_state[change.leave & (STATE_SLOTS - 1)], -1);
	if (change.enter)
		__sync_fetch_and_add(&counters->by_state[change.enter & (STATE_SLOTS - 1)], 1);
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

static __always_inline struct port_key port_of(const struct sock_common *sk)
{
	struct port_key key = {
		.netns = sk->skc_net.net->ns.inum,
		.port = sk->skc_num,
	};

	return key;
}

#endif
