/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The types that kernel programs and user space share: map keys, map values,
 * ring buffer records, iterator records. drainmon/kernel/wire.py mirrors them,
 * and a test compares both through BTF. Padding is explicit; times are of
 * CLOCK_MONOTONIC in nanoseconds.
 */
#ifndef DRAINMON_CONNTRACK_H
#define DRAINMON_CONNTRACK_H

/* net/tcp_states.h */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#define STATE_SLOTS 16 /* a power of two: the verifier follows a mask, not a comparison */

/* Slots in place of a state. */
enum counted_as {
	COUNTED_AS_PROBE = 13, /* opened by a probe, in any state */
};

/* A local port in a network namespace. */
struct port_key {
	__u32 netns; /* inode of the namespace */
	__u16 port;  /* host byte order */
	__u16 pad;
};

/*
 * What has happened on a port since user space registered it; on one CPU, or in all. A connection
 * may get a state on one CPU and lose it on another: only sums are meaningful.
 */
struct port_counters {
	__u64 changes;        /* of state, counted below or not */
	__u64 accepted;       /* passive opens */
	__u64 last_accept_ns; /* last arrival; 0: none yet */
	__u64 probes;         /* of `accepted`, those by a probe */
	__u64 arrivals;       /* finished handshakes, neither a probe's nor an ignored peer's */
	__u64 cut;            /* connections in use that ended with the process that held them */
	__s64 by_state[STATE_SLOTS];
};

/* The counters of a port over all CPUs, for readers of all ports. */
struct port_record {
	struct port_key key;
	struct port_counters sum;
};

/* Variables that user space sets while the programs run. */
struct control {
	__u32 watching;      /* ports are watched; 0: `watches` need not be read */
	__u32 probing;       /* there are names of probing processes */
	__u32 ignoring;      /* there are entries in `ignored_peers` */
	__u32 host_netns[2]; /* inodes of the namespaces that probes come from; 0: none */
};

/* Constants that user space sets before the programs are loaded. */
struct host {
	__u64 tick_ns;     /* a jiffy */
	__u32 cpus;        /* possible CPUs: a per-CPU map has a value for each */
	__u32 preemptible; /* whether tracing programs can be preempted: `on_dropped_state` runs,
			      too */
};

#define UNSEEN 4

/*
 * Shows which changes were counted, on one CPU. A change is known by its socket's address: until
 * both programs have run, the socket cannot change again.
 */
struct counted_changes {
	__u64 unseen[UNSEEN]; /* counted by `on_state`, not seen by `on_dropped_state`; 0: none */
	__u64 recovered;      /* number of dropped changes that `on_dropped_state` counted */
	__u64 second_runs;    /* whether `on_dropped_state` runs now */
};

#define PROCESS_NAME 16 /* TASK_COMM_LEN of the kernel */

struct process_name {
	char bytes[PROCESS_NAME]; /* padded with zeros */
};

enum process_role {
	ROLE_SERVER = 1, /* its listeners are announced */
	ROLE_PROBER = 2, /* the connections that it opens in the host's namespaces are probes */
};

/*
 * The sequence numbers that follow those of a handshake. Only the two ends of a connection
 * know both, with any address translation between them.
 */
struct handshake {
	__u32 accepting; /* of the accepting end */
	__u32 connecting;
};

/* A peer that the drain of a port's pod ignores: an address or, in the trie, a prefix. */
struct peer_key {
	__u32 bits; /* prefix length, over all that follows */
	struct port_key port;
	__u8 address[16]; /* IPv4 ones mapped */
};

/*
 * The key for listeners of processes with ROLE_SERVER, in place of a watched
 * port. No namespace has that inode.
 */
#define LISTENERS ((struct port_key){})

/* A watched port. User space resets `woken` before it looks. */
struct watch {
	__u32 woken;
};

/* The record of an accepted connection, until its socket is closed. */
struct connection {
	__u64 opened_ns;
	__u32 is_probe;
	__u32 pad;
};

/* Where a record was lost; the index of the map `lost`. */
enum lost_place {
	LOST_CONNECTION, /* no memory to record when a connection was opened */
	LOST_EVENT,      /* the ring buffer is full */
	LOST_PROBE,      /* no room to record a probe */
	LOST_PLACES,
};

enum record_flags {
	RECORD_IPV6 = 1,
	RECORD_TIMEWAIT = 2,  /* a time-wait minisocket: the peer has acknowledged all */
	RECORD_REQUEST = 4,   /* a handshake in progress */
	RECORD_PROBE = 8,     /* opened by a probe */
	RECORD_ORPHAN = 16,   /* no process holds it */
	RECORD_BYPASSED = 32, /* a sockmap may carry its data past the counters of bytes */
	RECORD_MPTCP = 64,    /* a subflow of an MPTCP connection */
};

/* One socket of a snapshot. Addresses are IPv6, IPv4 ones mapped (::ffff:a.b.c.d). */
struct socket_record {
	__u8 local[16];
	__u8 remote[16];
	__u64 bytes_received;
	__u64 bytes_sent; /* retransmitted ones included */
	__u64 opened_ns;  /* 0: before its port was watched */
	__u32 unsent;     /* bytes not yet acknowledged; LISTEN: limit of the accept queue */
	__u32 unread;     /* LISTEN: connections in the accept queue */
	__u32 idle_in_ms; /* since the last byte in, or since it opened */
	__u32 idle_out_ms;
	__u32 idle_ack_ms; /* since the peer last acknowledged anything */
	__u32 rto_ms;      /* the current retransmission timeout */
	__u16 local_port;
	__u16 remote_port;
	__u8 state;
	__u8 flags;
	__u8 retransmits; /* since the last progress */
	__u8 probes_out;  /* of a closed window, since the last answer */
};

#endif
