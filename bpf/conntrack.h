/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel programs and user space share: map keys, map values, ring
 * buffer records, iterator records. drainmon/kernel/wire.py mirrors it, and a
 * test compares the two through BTF. Padding is explicit; times are those of
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

/* In place of a state. */
enum counted_as {
	COUNTED_AS_PROBE = 13, /* opened by a probe, in whatever state */
};

/* A local port that has listened, or listens, in a network namespace. */
struct port_key {
	__u32 netns; /* inode of the namespace */
	__u16 port;  /* host byte order */
	__u16 pad;
};

struct port_counters {
	__u64 netns_cookie;   /* tells a namespace from a later one with its inode; 0: kernel
				 before 5.12 */
	__u64 accepted;       /* passive opens ever */
	__u64 last_accept_ns; /* of those that count as arrivals; 0: none yet */
	__u64 probes;         /* of `accepted`, those by a probe */
	__u64 arrivals;       /* of `accepted`, those by neither a probe nor an ignored peer */
	__u64 cut;            /* connections in use that ended with the process that held them */
	__s64 by_state[STATE_SLOTS];
};

/*
 * What user space tells the programs while they run.
 */
struct control {
	/* Every namespace has been listed once: a connection that is new to the
	 * iterator from now on is not old, its events were missed. */
	__u32 seeded;
	__u32 watching;      /* there are watches: without, no event need look for one */
	__u32 probing;       /* there are names in `probing_processes` */
	__u32 ignoring;      /* there are entries in `ignored_peers` */
	__u32 host_netns[2]; /* inodes of the namespaces that probes come from; 0: none */
};

#define PROCESS_NAME 16 /* TASK_COMM_LEN of the kernel */

struct process_name {
	char bytes[PROCESS_NAME]; /* zeros behind the name */
};

/*
 * The sequence numbers that follow those of a handshake. Only the two ends of a connection
 * know both, whatever address translation lies between them.
 */
struct handshake {
	__u32 accepting; /* from the accepting end */
	__u32 connecting;
};

/* Who is ignored by the drain of a port's pod: an address or, in a trie, a prefix. */
struct peer_key {
	__u32 bits; /* that count, of all that follows */
	struct port_key port;
	__u8 address[16]; /* IPv4 ones mapped */
};

/* User space asks to be woken for a port; set to 0 again before it looks. */
struct watch {
	__u32 woken;
};

/* One accepted connection, as long as its socket is not closed. */
struct connection {
	__u64 opened_ns; /* 0: older than the programs */
	__u32 netns;
	__u16 port;
	__u8 state; /* the one it is counted under, or COUNTED_AS_PROBE */
	__u8 pad;
};

enum event_kind {
	EVENT_LISTENER = 1, /* a port began to listen */
	EVENT_CHANGE = 2,   /* a watched port changed since user space last looked */
};

struct event {
	__u64 time_ns;
	struct port_key key;
	__u32 kind;
	__u32 pad;
};

/* Where something was lost; the index of the map `lost`. */
enum lost_place {
	LOST_PORT,       /* map `ports` is full */
	LOST_CONNECTION, /* no memory for a socket's own entry */
	LOST_EVENT,      /* the ring buffer is full */
	LOST_CHANGE,     /* an event was missed: a snapshot found what it would have told */
	LOST_PROBE,      /* map `handshakes` is full, or no memory to remember who connects */
	LOST_PLACES,
};

enum record_flags {
	RECORD_IPV6 = 1,
	RECORD_TIMEWAIT = 2,  /* a time-wait minisocket: peer has acknowledged all */
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
	__u64 bytes_sent; /* retransmitted ones again */
	__u64 opened_ns;  /* 0: not known */
	__u32 unsent;     /* bytes not yet acknowledged; LISTEN: limit of the accept queue */
	__u32 unread;     /* LISTEN: connections in the accept queue */
	__u32 idle_in_ms; /* since the last byte in, or since it opened */
	__u32 idle_out_ms;
	__u32 idle_ack_ms; /* since the peer last acknowledged anything */
	__u32 rto_ms;      /* the present retransmission timeout */
	__u16 local_port;
	__u16 remote_port;
	__u8 state;
	__u8 flags;
	__u8 retransmits; /* since the last progress */
	__u8 probes_out;  /* of a closed window, since the last answer */
};

#endif
