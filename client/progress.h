#ifndef DRAINMON_PROGRESS_H
#define DRAINMON_PROGRESS_H

#include "text.h"

enum { PROGRESS_STATES = 12 };

/* How far a drain is, as the daemon says or as this program counts: what one line reports. */
struct progress {
	char phase[16];
	char reason[200];
	uint64_t in_flight;
	struct {
		char name[16];
		uint64_t count;
	} states[PROGRESS_STATES];
	unsigned state_count;
};

#endif
