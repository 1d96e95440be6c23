#ifndef DRAINMON_SETTLE_H
#define DRAINMON_SETTLE_H

#include "carried.h"

struct policy {
	millis timeout;
	millis min_wait;
	millis quiet;
	uint64_t exit_at;
	bool roll;
	/* What of it has been done, whoever did it: how often nginx was rolled, and when last. */
	uint64_t rolls;
	millis rolled;
	const struct ignored *ignored;
	struct carried *carried; /* ports known so far */
	/* Without a daemon: new connections from there are kubelet's probes. */
	const struct ignored *nodes;
	millis unreachable_after; /* 0: never */
};

/* The drain: settling -> rolling -> waiting -> drained | deadline. Pure; time is an argument. */
struct settle {
	enum { SETTLING, ROLLING, WAITING, DRAINED, DEADLINE } phase;
	bool counted;
	uint64_t arrivals;
	millis last_arrival;
	bool arrived_since_roll;
	millis last_roll;
	uint64_t rolls;
	bool nginx_ended;
};

enum settle_action {
	SETTLE_LOOK_AGAIN,
	SETTLE_ROLL, /* roll nginx's workers, and say settle_rolled when that is over, or
			settle_cannot_roll */
	SETTLE_DRAINED,
	SETTLE_DEADLINE,
};

/* What was rolled for somebody else, who began earlier, has not settled for us before min_wait. */
void settle_init(struct settle *settle, const struct policy *policy, millis now);

/* One look at the sockets: how many are in flight, and the passive opens counted so far. */
enum settle_action settle_step(struct settle *settle, const struct policy *policy, millis now,
			       uint64_t in_flight, uint64_t arrivals);
void settle_rolled(struct settle *settle);
void settle_cannot_roll(struct settle *settle);
/* Nothing arrives any more: only what nginx has left to the kernel is still waited for. */
void settle_nginx_ended(struct settle *settle);

/* From one look, which used so many nanoseconds of a core, to the next. */
millis settle_look_pause(int64_t used);

const char *settle_phase(const struct settle *settle);
/* Why it is not over yet. */
void settle_reason(const struct settle *settle, const struct policy *policy, millis now,
		   uint64_t in_flight, struct text *reason);

#endif
