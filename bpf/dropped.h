/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which changes were dropped, without the kernel.
 *
 * The kernel drops a run of a program that would interrupt another run of it on the same CPU. Since
 * 7.0 tracing programs can be preempted: then this happens to the changes of any task that gets the
 * CPU meanwhile. A second program on the tracepoint runs just after the first, for every change,
 * and counts the changes that the first has not counted. A change is lost only if it interrupts
 * both.
 */
#ifndef DRAINMON_DROPPED_H
#define DRAINMON_DROPPED_H

#include "conntrack.h"

/* The first program has counted a change of this socket. */
static inline __attribute__((always_inline)) void record_counted(struct counted_changes *here,
								 __u64 socket)
{
	if (here->second_runs)
		return; /* the second program is not run for this change */
	for (int i = 0; i < UNSEEN; i++)
		if (!here->unseen[i]) {
			here->unseen[i] = socket;
			return;
		}
	here->unseen[0] = socket;
}

/* The second program begins: whether it must count this change. */
static inline __attribute__((always_inline)) int begin_second(struct counted_changes *here,
							      __u64 socket)
{
	here->second_runs = 1;
	for (int i = 0; i < UNSEEN; i++)
		if (here->unseen[i] == socket) {
			here->unseen[i] = 0;
			return 0;
		}
	here->recovered++;
	return 1;
}

static inline __attribute__((always_inline)) void end_second(struct counted_changes *here)
{
	here->second_runs = 0;
}

#endif
