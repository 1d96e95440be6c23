/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counting rule, without the kernel: what one state change does to the
 * counters of a port. Kept pure so that it can be compiled for the host and
 * tested with any order of events.
 *
 * A connection is entered on LISTEN>SYN_RECV, where the kernel counts its
 * passive open, or, if that event was missed, on leaving SYN_RECV; with TCP
 * Fast Open it may never be ESTABLISHED. It leaves on CLOSE. A known
 * connection leaves the state it was counted under, not the one that the event
 * names, so that a missed event in between shifts nothing.
 *
 * Whose it is shows only when the handshake is over: on leaving SYN_RECV a
 * connection becomes an arrival, or a probe's, which is then counted as such
 * until it leaves.
 */
#ifndef DRAINMON_ACCOUNT_H
#define DRAINMON_ACCOUNT_H

#include "conntrack.h"

struct change {
	__u8 leave; /* state whose counter goes down; 0: none */
	__u8 enter; /* state whose counter goes up; 0: none */
	__u8 accepted;
	__u8 arrived;
	__u8 probed;
	__u8 cut;
};

/* Whether an event on a socket without an entry is about an accepted connection. */
static inline __attribute__((always_inline)) int account_is_passive(int oldstate, int newstate)
{
	return (oldstate == TCP_LISTEN && newstate == TCP_SYN_RECV) || oldstate == TCP_SYN_RECV;
}

/* Whether a change is the one that shows whose the connection is. */
static inline __attribute__((always_inline)) int account_shows_whose(int counted_under,
								     int newstate)
{
	return (!counted_under || counted_under == TCP_SYN_RECV) && newstate != TCP_SYN_RECV;
}

/*
 * counted_under: state of the connection's entry, 0 without one. probe: whether it is a probe's,
 * where account_shows_whose.
 */
static inline __attribute__((always_inline)) struct change account(int counted_under, int newstate,
								   int probe)
{
	struct change change = {};

	change.leave = counted_under;
	change.accepted = !counted_under;
	if (account_shows_whose(counted_under, newstate)) {
		change.probed = probe;
		change.arrived = !probe;
	}
	if (newstate == TCP_CLOSE)
		return change;
	if (change.probed || counted_under == COUNTED_AS_PROBE)
		change.enter = COUNTED_AS_PROBE;
	else
		change.enter = newstate;
	return change;
}

#endif
