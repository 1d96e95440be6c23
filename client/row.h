#ifndef DRAINMON_ROW_H
#define DRAINMON_ROW_H

#include "address.h"

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_STATES = 16,
};

/* One socket of this netns. */
struct row {
	struct address local;
	struct address remote;
	unsigned state;
	uint32_t unsent; /* bytes that are not yet acknowledged; a FIN counts as one */
	uint32_t unread;
	uint64_t inode; /* 0: no process holds it */
	/* Retransmissions in vain: */
	unsigned retransmits; /* since the last progress */
	unsigned probes_out;  /* to a closed window, since the last answer */
	millis rto;           /* the current retransmission timeout */
	/* From sock_diag only: */
	bool counted;
	uint64_t bytes_received;
	uint64_t bytes_sent;
	millis idle_in, idle_out; /* since the last byte in or out, or since it opened */
	millis idle_ack;          /* since the peer last acknowledged anything */
};

#endif
