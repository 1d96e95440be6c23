#ifndef DRAINMON_PROCNET_H
#define DRAINMON_PROCNET_H

#include "address.h"

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_STATES = 16,
};

/* One socket of /proc/net/tcp or tcp6 (proc_pid_net(5)). */
struct row {
	struct address local;
	struct address remote;
	unsigned state;
	uint32_t unsent;
	uint64_t inode;
	uint64_t rto;   /* clock ticks; 0 in what remains of a closed connection */
	bool silent;    /* nothing was ever received, if `rto` is one to be sure with */
	bool fast_open; /* a listener that takes data in the handshake, which leaves no trace */
};

/* False for a header, and for a row that is torn or otherwise not as the kernel writes it. */
bool procnet_row(struct span line, struct row *row);

/* The passive opens of /proc/net/snmp. */
bool procnet_passive_opens(struct span snmp, uint64_t *count);

#endif
