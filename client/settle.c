/* When nothing can be lost any more: decided from what is in flight and what still arrives. */
#include "settle.h"

void settle_init(struct settle *settle, const struct policy *policy, millis now)
{
	bool rolled = policy->rolls > 0;
	*settle = (struct settle){
		.phase = rolled && now >= policy->min_wait ? WAITING : SETTLING,
		.last_arrival = now, /* what arrived before was not seen: quiet begins here */
		.arrived_since_roll = rolled,
		.last_roll = policy->rolled,
		.rolls = policy->rolls,
	};
}

/* 100,000 sockets take 200 ms to read: the core is nginx's, which has its own work to finish. What
 * the network does meanwhile is charged to the reader, so that one look may seem to cost as much as
 * many: no drain is held for long by that. */
millis settle_look_pause(int64_t used)
{
	enum { SHORTEST = 100, LONGEST = 2000, SHARE_OF_A_CORE = 20 };
	millis pause = used / 1000000 * SHARE_OF_A_CORE;
	if (pause < SHORTEST)
		return SHORTEST;
	return pause < LONGEST ? pause : LONGEST;
}

static millis quiet_left(const struct settle *settle, const struct policy *policy, millis now)
{
	/* Health checks that never stop must not turn every drain into a deadline. */
	if (settle->nginx_ended || now >= policy->timeout / 2 ||
	    now - settle->last_arrival >= policy->quiet)
		return 0;
	return settle->last_arrival + policy->quiet - now;
}

/* Each roll leaves old workers behind, so they come at longer and longer intervals. */
static millis next_roll(const struct settle *settle, const struct policy *policy)
{
	millis interval = policy->quiet > 1000 ? policy->quiet : 1000;
	for (uint64_t i = 1; i < settle->rolls && interval <= policy->timeout; i++)
		interval *= 2;
	return settle->last_roll + interval;
}

static enum settle_action begin_roll(struct settle *settle, millis now)
{
	settle->phase = ROLLING;
	settle->last_roll = now;
	settle->arrived_since_roll = false;
	settle->rolls++;
	return SETTLE_ROLL;
}

enum settle_action settle_step(struct settle *settle, const struct policy *policy, millis now,
			       uint64_t in_flight, uint64_t arrivals)
{
	if (settle->counted && arrivals != settle->arrivals) {
		settle->last_arrival = now;
		settle->arrived_since_roll = true;
	}
	settle->counted = true;
	settle->arrivals = arrivals;

	bool quiet = quiet_left(settle, policy, now) == 0;
	bool settled = settle->phase != SETTLING || (now >= policy->min_wait && quiet);
	if (settled && quiet && in_flight <= policy->exit_at) {
		settle->phase = DRAINED;
		return SETTLE_DRAINED;
	}
	if (now >= policy->timeout) {
		settle->phase = DEADLINE;
		return SETTLE_DEADLINE;
	}
	if (settle->phase == SETTLING && settled) {
		settle->phase = WAITING;
		if (policy->roll)
			return begin_roll(settle, now);
	}
	/* Stragglers that keep their connections open: only a newer worker's start closes those. */
	if (settle->phase == WAITING && policy->roll && settle->rolls &&
	    settle->arrived_since_roll && in_flight > policy->exit_at && quiet &&
	    now >= next_roll(settle, policy))
		return begin_roll(settle, now);
	return SETTLE_LOOK_AGAIN;
}

void settle_rolled(struct settle *settle)
{
	if (settle->phase == ROLLING)
		settle->phase = WAITING;
}

void settle_cannot_roll(struct settle *settle)
{
	settle->rolls--;
	settle_rolled(settle);
}

void settle_nginx_ended(struct settle *settle)
{
	settle->nginx_ended = true;
	settle->phase = WAITING;
	settle->arrived_since_roll = false;
}

const char *settle_phase(const struct settle *settle)
{
	static const char *const names[] = {"settling", "rolling", "waiting", "drained",
					    "deadline"};
	return names[settle->phase];
}

static void left_to_go(const char *what, millis left, struct text *reason)
{
	text_add(reason, what);
	text_add(reason, " has ");
	text_seconds(reason, left);
	text_add(reason, " s to go");
}

void settle_reason(const struct settle *settle, const struct policy *policy, millis now,
		   uint64_t in_flight, struct text *reason)
{
	millis quiet = quiet_left(settle, policy, now);
	if (settle->phase == DRAINED) {
		if (in_flight)
			text_add(reason, "no more than exit-at are left");
	} else if (settle->phase == DEADLINE) {
		text_add(reason, "they did not end in time");
	} else if (settle->phase == ROLLING) {
		text_add(reason, "waiting for nginx to start new workers");
	} else if (settle->phase == SETTLING && now < policy->min_wait &&
		   policy->min_wait - now >= quiet) {
		left_to_go("min-wait", policy->min_wait - now, reason);
	} else if (quiet) {
		left_to_go("quiet", quiet, reason);
	} else if (in_flight) {
		text_add(reason, "waiting for them to end");
	}
}
