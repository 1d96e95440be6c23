/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counting rule, without the kernel: what one state change does to the
 * counters of the port that it happens on. Kept pure so that it can be compiled
 * for the host and tested with any order of events.
 *
 * Nothing is kept of a connection: it leaves the state that the event names and
 * enters the new one. What an event that was missed leaves behind, and what was
 * there before the port was counted, user space corrects by a snapshot.
 *
 * The kernel counts a passive open on LISTEN>SYN_RECV. Whose it is shows only
 * when the handshake is over: on leaving SYN_RECV a connection becomes an
 * arrival, or a probe's, which is then counted as such in whatever state. With
 * TCP Fast Open it may never be ESTABLISHED.
 */
#ifndef DRAINMON_ACCOUNT_H
#define DRAINMON_ACCOUNT_H

#include "conntrack.h"

struct change {
	__u8 leave; /* slot whose counter goes down; 0: none */
	__u8 enter; /* slot whose counter goes up; 0: none */
	__u8 accepted;
	__u8 arrived;
	__u8 probed;
	__u8 cut;
};

/* The states of a connection that is there, in which it has bytes to come or to go. */
#define COUNTED_STATES                                                                             \
	(1 << TCP_ESTABLISHED | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 |      \
	 1 << TCP_CLOSE_WAIT | 1 << TCP_LAST_ACK | 1 << TCP_CLOSING)

/* The slot of by_state that a connection in this state is counted in, 0 for none. */
static inline __attribute__((always_inline)) __u8 account_slot(int state, int probe)
{
	if (!(COUNTED_STATES >> (state & (STATE_SLOTS - 1)) & 1))
		return 0;
	return probe && state != TCP_SYN_RECV ? COUNTED_AS_PROBE : state;
}

/* probe: whether the connection is a probe's, 0 as long as that has not shown. */
static inline __attribute__((always_inline)) struct change account(int oldstate, int newstate,
								   int probe)
{
	struct change change = {
		.leave = account_slot(oldstate, probe),
		.enter = account_slot(newstate, probe),
		.accepted = oldstate == TCP_LISTEN && newstate == TCP_SYN_RECV,
	};

	if (oldstate == TCP_SYN_RECV) {
		change.probed = !!probe;
		change.arrived = !probe;
	}
	return change;
}

#endif
