// SPDX-License-Identifier: GPL-2.0
/*
 * TCP state changes of the node, for kernels without BTF; bcc compiles it when
 * the daemon starts. It reads the tracepoint's own fields, which are stable,
 * and no struct of the kernel: headers of any version compile it. It includes
 * none of them itself, as each would double the time of that.
 *
 * The tracepoint names no network namespace. What it knows a connection by is
 * the local address and port.
 */

#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_LISTEN 10

/* Shared with drainmon/kernel/bcc_conntrack.py. */
struct place {
	u8 address[16]; /* IPv4 ones mapped */
	u16 port;       /* host byte order */
	u16 pad;
};

enum event_kind {
	EVENT_LISTENER = 1, /* a port began to listen */
	EVENT_CHANGE = 2,   /* a watched place changed since user space last looked */
};

struct event {
	struct place place;
	u32 kind;
};

struct port {
	u64 changed_ns;  /* last event; 0: none yet */
	u64 accepted_ns; /* last passive open */
};

/* By local port, whatever the address. Filled by the tracepoint, read by user space; never full. */
BPF_ARRAY(ports, struct port, 65536);

/*
 * 1: woken since user space last looked. The address :: stands for any.
 * Filled, emptied and set back by user space; read by the tracepoint.
 */
BPF_HASH(watches, struct place, u32, 16384);

/* struct event. A perf buffer, as kernels before 5.8 have no other. */
BPF_PERF_OUTPUT(events);

/* Events that found no room in the buffer. */
BPF_ARRAY(lost, u64, 1);

static inline void send(void *context, const struct place *place, u32 kind)
{
	struct event event = {.place = *place, .kind = kind};

	if (events.perf_submit(context, &event, sizeof(event)))
		lost.increment(0);
}

/* One wake-up for any number of changes, until user space looks. */
static inline void wake(void *context, struct place *watched)
{
	u32 *woken = watches.lookup(watched);

	if (!woken || *woken)
		return;
	*woken = 1;
	send(context, watched, EVENT_CHANGE);
}

TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
	struct place place = {.port = args->sport}, any = place;
	int number = args->sport;
	struct port *port;
	/* With 0 no sample of the tracepoint would be taken, for drainmon/kernel/tcp_samples.py. */
	int sampled = args->newstate == TCP_ESTABLISHED || args->newstate == TCP_SYN_SENT;

	if (args->protocol != IPPROTO_TCP || !number)
		return sampled;
	__builtin_memcpy(place.address, args->saddr_v6, sizeof(place.address));
	port = ports.lookup(&number);
	if (port) {
		port->changed_ns = bpf_ktime_get_ns();
		if (args->oldstate == TCP_LISTEN && args->newstate == TCP_SYN_RECV)
			port->accepted_ns = port->changed_ns;
	}
	if (args->newstate == TCP_LISTEN)
		send(args, &place, EVENT_LISTENER);
	wake(args, &place);
	wake(args, &any);
	return sampled;
}
