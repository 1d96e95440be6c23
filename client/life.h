#ifndef DRAINMON_LIFE_H
#define DRAINMON_LIFE_H

#include "processes.h"

/* What becomes of nginx while its drain is waited for. Zeroed = it was not seen. */
struct life {
	bool seen;
	/* It has been told to quit, and ends when its last connection has. Who quits and ends
	 * between two looks is not seen to, and taken for stopped. */
	bool quitting;
	bool ended;
	uint64_t in_flight; /* when it was last seen */
};

/* One look: nginx's processes, and what was in flight just before. */
void life_look(struct life *life, const struct processes *processes, uint64_t in_flight);

/* Of an nginx that has ended: whether somebody stopped it with more in flight than may be left. */
bool life_was_cut(const struct life *life, uint64_t exit_at);

#endif
