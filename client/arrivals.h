#ifndef DRAINMON_ARRIVALS_H
#define DRAINMON_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

/* Passive opens that may have been by others than ignored peers, from snapshot to snapshot. */
struct arrivals {
	bool counted;
	uint64_t opens;
	uint64_t late; /* of the last snapshot's arrivals: the next may show their peers */
	uint64_t others;
};

/* Adds a snapshot: the passive opens of the netns before and after reading the sockets, and new
 * connections of ignored peers. The peers of connections that come and go between two snapshots are
 * unknown. */
void arrivals_add(struct arrivals *arrivals, uint64_t before, uint64_t opens, uint64_t ignored_new);

#endif
