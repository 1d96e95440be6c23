#ifndef DRAINMON_LOOK_H
#define DRAINMON_LOOK_H

#include "snapshot.h"

enum look {
	LOOK_DONE,
	LOOK_LATE,   /* given up, because the time to stop has come */
	LOOK_FAILED, /* `why` says what cannot be read */
};

/* Counts what is in flight on the ports now, in the netns of this process. */
enum look look_at_sockets(struct snapshot *snapshot, struct ports *ports,
			  const struct ignored *ignored, millis stop_at, struct text *why);

#endif
