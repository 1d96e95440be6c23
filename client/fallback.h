#ifndef DRAINMON_FALLBACK_H
#define DRAINMON_FALLBACK_H

#include "arrivals.h"
#include "look.h"
#include "report.h"
#include "roll.h"
#include "settle.h"

/* Counting without the daemon: the sockets of this netns, and nginx by its pid file. */
struct fallback {
	bool active;
	bool rolling;
	bool broken; /* the last look failed, and that has been said */
	bool seen_drained;
	const char *pid_file;
	struct policy policy;
	struct settle settle;
	struct arrivals arrivals;
	struct roll roll;
	struct ports ports;
	struct snapshot snapshot; /* the last whole one */
	millis look_at;
	millis look_takes;
};

void fallback_start(struct fallback *fallback, const struct policy *policy, const char *pid_file,
		    struct report *report, millis now);

/* Does what is due; only SETTLE_DRAINED and SETTLE_DEADLINE end the drain. */
enum settle_action fallback_step(struct fallback *fallback, struct report *report, millis now);
millis fallback_due(const struct fallback *fallback);

/* Notes the rolls that are complete. */
void fallback_rolls(const struct fallback *fallback, struct policy *policy);

/* Describes a connection that is left; false: there are no more. */
bool fallback_left(const struct fallback *fallback, unsigned index, struct text *description);

#endif
