#ifndef DRAINMON_ROLL_H
#define DRAINMON_ROLL_H

#include "nginx.h"

/* Replacing nginx's workers: the old ones close idle connections and finish the rest. */
struct roll {
	pid_t master;
	millis give_up_at;
	unsigned old_count;
	pid_t old[NGINX_WORKERS];
};

enum roll_state {
	ROLL_RUNNING,
	ROLL_DONE,   /* new workers have taken over */
	ROLL_FORCED, /* SIGHUP changed nothing, the old workers were told to quit */
};

/* False: nothing was signalled, and `why` says what stands in the way. */
bool roll_begin(struct roll *roll, const char *pid_file, millis now, struct text *why);
enum roll_state roll_step(struct roll *roll, millis now);

#endif
