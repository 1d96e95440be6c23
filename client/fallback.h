#ifndef DRAINMON_FALLBACK_H
#define DRAINMON_FALLBACK_H

#include "arrivals.h"
#include "look.h"
#include "lookout.h"
#include "report.h"
#include "roll.h"
#include "settle.h"
#include "vanished.h"

/* Counting without the daemon: the sockets of this netns, and nginx by its pid file. */
struct fallback {
	bool active;
	bool rolling;
	millis roll_look_at;
	bool broken; /* the last snapshot failed, which has been reported */
	bool seen_drained;
	const char *source; /* how sockets are read, as last reported */
	struct policy policy;
	struct settle settle;
	struct sight sight; /* at the last snapshot */
	bool udp;           /* UDP clients are counted by workers */
	struct vanished vanished;
	char rolled[128]; /* as in struct progress */
	struct arrivals arrivals;
	struct roll roll;
	struct ports ports;
	struct lookout lookout;
	struct snapshot snapshot; /* the last complete one; in_flight includes `elsewhere` */
	millis look_at;
	millis look_takes;
};

/* `nginx_seen`: nginx ran when this program started. */
void fallback_start(struct fallback *fallback, const struct policy *policy, const char *pid_file,
		    bool nginx_seen, struct report *report, millis now);

/* Does what is due; SETTLE_DRAINED, also where nginx has ended, SETTLE_DEADLINE and SETTLE_STUCK
 * end the drain. */
enum settle_action fallback_step(struct fallback *fallback, struct report *report, millis now);
millis fallback_due(const struct fallback *fallback);

/* Finds nginx and its listeners again. */
void fallback_find_listeners(struct fallback *fallback, struct report *report);

/* Whether nginx was stopped by somebody else with connections in flight. */
bool fallback_was_cut(const struct fallback *fallback);

/* Records the rolls so far, and whether another one is useless. */
void fallback_rolls(const struct fallback *fallback, struct policy *policy);

/* Whether all processes of this host are visible, and none is nginx. */
bool fallback_has_nothing(const struct fallback *fallback);

/* Adds hints about the remaining connections to a deadline's reason. True: other connections will
 * replace them in a moment. */
bool fallback_hint(const struct fallback *fallback, millis now, struct text *reason);

/* Describes a remaining connection; false: there are no more. */
bool fallback_left(const struct fallback *fallback, unsigned index, struct text *description);

#endif
