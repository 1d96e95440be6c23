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
 */
#ifndef DRAINMON_ACCOUNT_H
#define DRAINMON_ACCOUNT_H

#include "conntrack.h"

struct change {
	__u8 leave; /* state whose counter goes down; 0: none */
	__u8 enter; /* state whose counter goes up; 0: none */
	__u8 accepted;
	__u8 pad;
};

/* Whether an event on a socket without an entry is about an accepted connection. */
static inline __attribute__((always_inline)) int account_is_passive(int oldstate, int newstate)
{
	return (oldstate == TCP_LISTEN && newstate == TCP_SYN_RECV) || oldstate == TCP_SYN_RECV;
}

/* counted_under: state of the connection's entry, 0 without one. */
static inline __attribute__((always_inline)) struct change account(int counted_under, int newstate)
{
	struct change change = {};

	change.leave = counted_under;
	change.accepted = !counted_under;
	if (newstate != TCP_CLOSE)
		change.enter = newstate;
	return change;
}

#endif
