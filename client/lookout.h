#ifndef DRAINMON_LOOKOUT_H
#define DRAINMON_LOOKOUT_H

#include "life.h"
#include "progress.h"
#include "survey.h"

/* The state of nginx while this program counts alone. Zeroed = unknown. */
struct lookout {
	const char *pid_file;
	pid_t named; /* the master by its pid file; 0: none */
	bool seen;   /* a process that may be nginx */
	struct processes nginx;
	struct survey survey;
	struct life life;
	uint64_t arrived_elsewhere; /* connections seen to come in another netns */
};

/* Finds nginx and its ports. False: its listeners are unknown, for the reason `why`. */
bool lookout_find(struct lookout *lookout, struct ports *ports, millis stop_at, struct text *why);

#define NOT_SEEN "no nginx seen here: every listening port was counted"

/* Whether no nginx was seen: there is none, or its container's processes are not visible. */
bool lookout_saw_none(const struct lookout *lookout);

/* Called after each snapshot: adds connections elsewhere to those in flight. False: the
 * time to stop has come. */
bool lookout_look(struct lookout *lookout, struct ports *ports, uint64_t *in_flight,
		  millis stop_at);

/* The outcome of a drain whose nginx has ended, in place of the phase, and the reason. */
const char *lookout_outcome(const struct lookout *lookout, uint64_t exit_at, struct text *reason);

/* Whether nginx has a listener; `seen`: the snapshot has found one. */
bool lookout_listens(const struct lookout *lookout, bool seen);

/* Adds uncounted sockets and connections elsewhere; `udp`: UDP is counted by workers. */
void lookout_progress(const struct lookout *lookout, bool udp, struct progress *progress);

#endif
