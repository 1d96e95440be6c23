#ifndef DRAINMON_PROGRESS_H
#define DRAINMON_PROGRESS_H

#include "text.h"

/* The progress of a drain, by the daemon or by this program: the contents of one line. */
struct progress {
	char phase[16];
	char reason[400];
	uint64_t in_flight;
	uint64_t unreachable; /* not among those in flight, nor are the unused */
	uint64_t unused;
	uint64_t udp_workers; /* worker processes that may still serve UDP clients */
	char roll[128];       /* the roll's outcome: "quit", "skipped (why)"; empty: none */
	char states[240];     /* "ESTABLISHED 2, FIN_WAIT1 1": connections in flight */
	char uncounted[160];  /* "unix /run/web.sock, udp 8053": what cannot be counted */
};

/* Adds connections in flight to `states`. Those that nginx holds in another netns have the state
 * "elsewhere": theirs is not known. */
void progress_state(struct progress *progress, const char *name, uint64_t count);

#endif
