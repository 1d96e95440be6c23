#ifndef DRAINMON_LIFE_H
#define DRAINMON_LIFE_H

#include "processes.h"

/* Whether nginx lives during its drain. Zeroed = not seen. */
struct life {
	bool seen;
	/* nginx ends with its last connection. An nginx that quits and ends between two snapshots
	 * counts as stopped. */
	bool quitting;
	bool ended;
	uint64_t in_flight; /* when it was last seen */
};

/* One snapshot: nginx's processes, and what was in flight just before. */
void life_look(struct life *life, const struct processes *processes, uint64_t in_flight);

/* Whether an nginx that has ended was stopped with more than `exit_at` in flight. */
bool life_was_cut(const struct life *life, uint64_t exit_at);

#endif
