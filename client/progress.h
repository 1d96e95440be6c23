#ifndef DRAINMON_PROGRESS_H
#define DRAINMON_PROGRESS_H

#include "text.h"

enum { PROGRESS_STATES = 12 };

/* How far a drain is, as the daemon says or as this program counts: what one line reports. */
struct progress {
	char phase[16];
	char reason[400];
	uint64_t in_flight;
	uint64_t unreachable; /* beside those in flight, as are the unused */
	uint64_t unused;
	uint64_t udp_workers; /* worker processes that may still serve UDP clients */
	char roll[128];       /* how nginx was rolled: "quit", "skipped (why)"; empty: it was not */
	struct {
		char name[16];
		uint64_t count;
	} states[PROGRESS_STATES];
	unsigned state_count;
	char uncounted[160]; /* "unix /run/web.sock, udp 8053": what cannot be counted */
};

/* Adds connections that nginx holds in another netns, where their states are not known: a part of
 * those in flight. */
void progress_elsewhere(struct progress *progress, uint64_t count);

#endif
