// SPDX-License-Identifier: GPL-2.0
/*
 * TCP state changes of the node, for kernels without BTF; bcc compiles the
 * program when the daemon starts. It reads the tracepoint's own fields, which
 * are stable, and no struct of the kernel, so that headers of any version will
 * do. It includes no header, as each would double the time to compile.
 *
 * The tracepoint has no network namespace: connections are identified by their
 * local address and port.
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

struct name {
	char comm[16];
};

struct port {
	u64 changed_ns;  /* last event; 0: none yet */
	u64 accepted_ns; /* last passive open */
};

/* Local port -> its last changes, at any address. Written by: the tracepoint. Read by: user space.
 */
BPF_ARRAY(ports, struct port, 65536);

/*
 * Local address and port -> 1: woken since user space last looked. The address
 * :: matches any. The key :: with port 0, which no event has, is for new
 * listeners of processes with one of the names.
 * Inserted, deleted and reset by: user space. Set by: the tracepoint.
 */
BPF_HASH(watches, struct place, u32, 16384);

/* Names of processes whose listeners are announced. Inserted by: user space. Read by: tracepoint.
 */
BPF_HASH(names, struct name, u8, 1024);

/* Each struct place that changed. A perf buffer: kernels before 5.8 have no ring buffer. */
BPF_PERF_OUTPUT(events);

/* Events for which the buffer had no room. */
BPF_ARRAY(lost, u64, 1);

/* One wake-up for any number of changes, until user space looks. */
static inline void wake(void *context, struct place *watched)
{
	u32 *woken = watches.lookup(watched);

	if (!woken || *woken)
		return;
	*woken = 1;
	if (events.perf_submit(context, watched, sizeof(*watched)))
		lost.increment(0);
}

/*
 * TCP_LISTEN is set in the context of the thread that calls listen(2). A thread
 * may have a name of its own, but nginx's master has one thread. In some kernels
 * the helper does not pad the name, hence the zeros.
 */
static inline int has_name(void)
{
	struct name name = {};

	bpf_get_current_comm(&name, sizeof(name));
	return !!names.lookup(&name);
}

TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
	struct place place = {.port = args->sport}, any = place, listener = {};
	int number = args->sport;
	struct port *port;
	/* Returning 0 would drop the samples of drainmon/kernel/tcp_samples.py. */
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
	if (args->newstate == TCP_LISTEN && has_name())
		wake(args, &listener);
	wake(args, &place);
	wake(args, &any);
	return sampled;
}
