#ifndef DRAINMON_LOOKOUT_H
#define DRAINMON_LOOKOUT_H

#include "life.h"
#include "progress.h"
#include "survey.h"

/* What is known of nginx itself while this program counts alone. Zeroed = nothing. */
struct lookout {
	const char *pid_file;
	pid_t named; /* the master by its pid file; 0: none */
	bool seen;   /* a process that may be nginx */
	struct processes nginx;
	struct survey survey;
	struct life life;
	uint64_t arrived_elsewhere; /* connections seen to come in another netns */
};

/* Finds nginx, and on which ports connections are its. False: its listeners are not known, and
 * `why` says why. */
bool lookout_find(struct lookout *lookout, struct ports *ports, millis stop_at, struct text *why);

#define NOT_SEEN "no nginx seen here: every listening port was counted"

/* Whether there was no nginx: or it is in a container whose processes are not in sight. */
bool lookout_saw_none(const struct lookout *lookout);

/* Behind each look at the sockets: adds what is elsewhere to what is in flight. False: the time to
 * stop has come. */
bool lookout_look(struct lookout *lookout, struct ports *ports, uint64_t *in_flight,
		  millis stop_at);

/* How the drain of an nginx that has ended has ended, in place of the phase, and why. */
const char *lookout_outcome(const struct lookout *lookout, uint64_t exit_at, struct text *reason);

/* Whether something listens for nginx; `seen`: the look at the sockets has found a listener. */
bool lookout_listens(const struct lookout *lookout, bool seen);

/* Adds what a reader should know of it; `udp`: that is counted by its workers. */
void lookout_progress(const struct lookout *lookout, bool udp, struct progress *progress);

#endif
