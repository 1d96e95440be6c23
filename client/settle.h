#ifndef DRAINMON_SETTLE_H
#define DRAINMON_SETTLE_H

#include "carried.h"

struct policy {
	millis timeout;
	millis min_wait;
	millis quiet;
	uint64_t exit_at;
	bool roll;
	/* How often nginx was rolled in this drain, by any program, and when last. */
	uint64_t rolls;
	millis rolled;
	const struct ignored *ignored;
	struct carried *carried; /* ports known so far */
	/* Without a daemon: new connections from there are kubelet's probes. */
	const struct ignored *nodes;
	millis unreachable_after; /* 0: never */
};

/* The drain: settling -> rolling -> waiting -> drained | deadline | stuck. Pure. */
struct settle {
	enum { SETTLING, ROLLING, WAITING, DRAINED, DEADLINE, STUCK } phase;
	bool counted;
	uint64_t arrivals;
	millis last_arrival;
	bool arrived_since_roll;
	millis last_roll;
	uint64_t rolls;
	bool roll_failed; /* or was skipped: not tried again */
	bool taken_over;  /* the last roll was another program's */
	bool stuck;
	bool listens, lives;
	millis closed; /* since when nothing of nginx's listens */
};

/* One snapshot of the pod. */
struct sight {
	uint64_t in_flight;
	uint64_t arrivals;    /* passive opens so far */
	uint64_t udp_workers; /* workers that may still serve UDP clients */
	bool udp_told;        /* all of them are quitting */
	bool listens;         /* nginx has a listener */
	bool lives;           /* one of nginx's processes lives */
	uint64_t late;        /* of those in flight: opened since min_wait was over */
	millis late_since;    /* when the oldest of these was, at the earliest */
};

#define NOT_REACTING "nginx's workers do not react"

enum settle_action {
	SETTLE_LOOK_AGAIN,
	SETTLE_ROLL, /* roll nginx's workers, and report the outcome */
	SETTLE_DRAINED,
	SETTLE_DEADLINE,
	SETTLE_STUCK, /* nginx's workers do not react: nothing will end */
};

/* A drain that another program has rolled already still settles for min_wait. */
void settle_init(struct settle *settle, const struct policy *policy, millis now);

enum settle_action settle_step(struct settle *settle, const struct policy *policy, millis now,
			       const struct sight *sight);
void settle_rolled(struct settle *settle);
/* Nothing was signalled. */
void settle_roll_skipped(struct settle *settle);
void settle_roll_failed(struct settle *settle);
void settle_stuck(struct settle *settle);

/* Whether the drain waits for UDP workers that are not quitting yet: only a roll makes them end. */
bool settle_waits_for_udp(const struct settle *settle, const struct policy *policy);

/* The pause after a snapshot that used this many nanoseconds of CPU time. */
millis settle_look_pause(int64_t used);

const char *settle_phase(const struct settle *settle);
/* Adds to a deadline's reason that clients are still being sent here; false: the connections in
 * flight do not show that. */
bool settle_newcomers(const struct settle *settle, millis now, const struct sight *sight,
		      struct text *reason);
/* Why the drain still waits, or how it ended. */
void settle_reason(const struct settle *settle, const struct policy *policy, millis now,
		   const struct sight *sight, struct text *reason);

#endif
