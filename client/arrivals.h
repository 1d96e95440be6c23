#ifndef DRAINMON_ARRIVALS_H
#define DRAINMON_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

/* Passive opens that may have been by others than ignored peers, from look to look. */
struct arrivals {
	bool counted;
	uint64_t opens;
	uint64_t late; /* of those the last look told of: by whom the next one may show */
	uint64_t others;
};

/* One look: the passive opens of the netns before and behind its reading of the sockets, and the
 * connections of ignored peers that no earlier look has seen. Whose connection came and went
 * between two looks nobody knows. */
void arrivals_add(struct arrivals *arrivals, uint64_t before, uint64_t opens, uint64_t ignored_new);

#endif
