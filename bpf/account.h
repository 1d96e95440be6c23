/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counting rule, without the kernel: what one state change does to the
 * counters of its port. Pure, so that it can be compiled for the host and tested
 * with any order of events.
 *
 * The rule keeps no record of a connection: the counter of the old state goes
 * down, that of the new state goes up. User space corrects the effect of missed
 * events, and adds older connections, by snapshots.
 *
 * The kernel counts a passive open on LISTEN>SYN_RECV. The peer is known only
 * after the handshake: on leaving SYN_RECV a connection becomes an arrival, or
 * a probe's, which is counted in one slot for all states. With TCP Fast Open a
 * connection may never be ESTABLISHED.
 */
#ifndef DRAINMON_ACCOUNT_H
#define DRAINMON_ACCOUNT_H

#include "conntrack.h"

struct change {
	__u8 down; /* slot whose counter goes down; 0: none */
	__u8 up;   /* slot whose counter goes up; 0: none */
	__u8 accepted;
	__u8 arrived;
	__u8 probed;
	__u8 cut;
};

/* The states of connections that may still send or receive. */
#define COUNTED_STATES                                                                             \
	(1 << TCP_ESTABLISHED | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 |      \
	 1 << TCP_CLOSE_WAIT | 1 << TCP_LAST_ACK | 1 << TCP_CLOSING)

/* The slot of by_state for a connection in this state, 0 for none. */
static inline __attribute__((always_inline)) __u8 account_slot(int state, int probe)
{
	if (!(COUNTED_STATES >> (state & (STATE_SLOTS - 1)) & 1))
		return 0;
	return probe && state != TCP_SYN_RECV ? COUNTED_AS_PROBE : state;
}

/* probe: whether the connection is a probe's, 0 as long as that is unknown. */
static inline __attribute__((always_inline)) struct change account(int oldstate, int newstate,
								   int probe)
{
	struct change change = {
		.down = account_slot(oldstate, probe),
		.up = account_slot(newstate, probe),
		.accepted = oldstate == TCP_LISTEN && newstate == TCP_SYN_RECV,
	};

	if (oldstate == TCP_SYN_RECV) {
		change.probed = !!probe;
		change.arrived = !probe;
	}
	return change;
}

#endif
