/* Decides when nothing can be lost any more, from connections in flight and arrivals. */
#include "settle.h"

void settle_init(struct settle *settle, const struct policy *policy, millis now)
{
	bool rolled = policy->rolls > 0;
	*settle = (struct settle){
		.phase = rolled && now >= policy->min_wait ? WAITING : SETTLING,
		.last_arrival = now, /* earlier arrivals are unknown: quiet begins here */
		.arrived_since_roll = rolled,
		.taken_over = rolled,
		.last_roll = policy->rolled,
		.rolls = policy->rolls,
		.listens = true,
		.lives = true,
	};
}

/* 100,000 sockets take 200 ms to read, on a core that nginx needs. The kernel charges network work
 * to the reader, so that one snapshot may seem as costly as many: LONGEST bounds the pause. */
millis settle_look_pause(int64_t used)
{
	enum { SHORTEST = 100, LONGEST = 2000, SHARE_OF_A_CORE = 20 };
	millis pause = used / 1000000 * SHARE_OF_A_CORE;
	if (pause < SHORTEST)
		return SHORTEST;
	return pause < LONGEST ? pause : LONGEST;
}

/* When quiet ends. Health checks that never stop must not turn every drain into a deadline. */
static millis quiet_at(const struct settle *settle, const struct policy *policy)
{
	millis at = settle->last_arrival + policy->quiet;
	return at < policy->timeout / 2 ? at : policy->timeout / 2;
}

/* When the drain settles, if nothing more arrives. */
static millis settled_at(const struct settle *settle, const struct policy *policy)
{
	millis at = quiet_at(settle, policy);
	if (at < policy->min_wait)
		at = policy->min_wait;
	/* There is nothing to serve. */
	if (!settle->lives && !settle->listens && settle->closed + policy->quiet < at)
		at = settle->closed + policy->quiet;
	return at;
}

/* Longer each time, as each roll leaves old workers behind. */
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
	settle->arrived_since_roll = settle->taken_over = false;
	settle->rolls++;
	return SETTLE_ROLL;
}

static void note(struct settle *settle, millis now, const struct sight *sight)
{
	bool arrived = settle->counted && sight->arrivals != settle->arrivals;
	if (arrived) {
		settle->last_arrival = now;
		settle->arrived_since_roll = true;
	}
	/* A later arrival came to an open listener. */
	if (!sight->listens && (settle->listens || arrived))
		settle->closed = now;
	settle->counted = true;
	settle->arrivals = sight->arrivals;
	settle->listens = sight->listens;
	settle->lives = sight->lives;
}

static bool roll_is_due(const struct settle *settle, const struct policy *policy, millis now,
			bool enough, bool udp)
{
	if (!policy->roll || settle->roll_failed || !settle->listens || settle->phase == ROLLING)
		return false;
	/* Only the start of newer workers closes the idle connections of stragglers. */
	return !settle->rolls ||
	       (settle->arrived_since_roll && (!enough || (udp && settle->taken_over)) &&
		now >= next_roll(settle, policy));
}

static enum settle_action end(struct settle *settle, int phase, enum settle_action action)
{
	settle->phase = phase;
	return action;
}

enum settle_action settle_step(struct settle *settle, const struct policy *policy, millis now,
			       const struct sight *sight)
{
	note(settle, now, sight);
	bool settled = now >= settled_at(settle, policy);
	bool enough = sight->in_flight <= policy->exit_at;
	bool udp = sight->udp_workers && (sight->udp_told || settle_waits_for_udp(settle, policy));
	if (settled && enough && !udp)
		return end(settle, DRAINED, SETTLE_DRAINED);
	if (now >= policy->timeout)
		return end(settle, DEADLINE, SETTLE_DEADLINE);
	if (settle->stuck && !(enough && !udp))
		return end(settle, STUCK, SETTLE_STUCK);
	if (settled && settle->phase == SETTLING)
		settle->phase = WAITING;
	if (settled && roll_is_due(settle, policy, now, enough, udp))
		return begin_roll(settle, now);
	return SETTLE_LOOK_AGAIN;
}

void settle_rolled(struct settle *settle)
{
	if (settle->phase == ROLLING)
		settle->phase = WAITING;
}

void settle_roll_skipped(struct settle *settle)
{
	settle->rolls--;
	settle_roll_failed(settle);
}

void settle_roll_failed(struct settle *settle)
{
	settle->roll_failed = true;
	settle_rolled(settle);
}

void settle_stuck(struct settle *settle)
{
	settle->stuck = true;
}

bool settle_waits_for_udp(const struct settle *settle, const struct policy *policy)
{
	return policy->roll && !settle->roll_failed;
}

const char *settle_phase(const struct settle *settle)
{
	static const char *const names[] = {"settling", "rolling",  "waiting",
					    "drained",  "deadline", "stuck"};
	return names[settle->phase];
}

static const char still_sent[] = "clients are still being sent here";

static bool arrives(const struct settle *settle, millis now)
{
	enum { ARRIVES = 3000 };
	return now - settle->last_arrival < ARRIVES;
}

bool settle_newcomers(const struct settle *settle, millis now, const struct sight *sight,
		      struct text *reason)
{
	if (!arrives(settle, now) || 2 * sight->late <= sight->in_flight)
		return false;
	text_add(reason, sight->late < sight->in_flight ? "; most of the connections left"
							: "; the connections left");
	text_add(reason, " are at most ");
	text_number(reason, (uint64_t)(now - sight->late_since + 999) / 1000);
	text_add(reason, " s old: ");
	text_add(reason, still_sent);
	text_add(reason,
		 " (they use the pod's IP directly, or the load balancer has not noticed yet)");
	return true;
}

void settle_reason(const struct settle *settle, const struct policy *policy, millis now,
		   const struct sight *sight, struct text *reason)
{
	millis settled = settled_at(settle, policy);
	if (settle->phase == DRAINED) {
		if (sight->in_flight)
			text_add(reason, "at most exit-at connections are in flight");
	} else if (settle->phase == STUCK) {
		text_add(reason, NOT_REACTING);
	} else if (settle->phase == ROLLING) {
		text_add(reason, "waiting for nginx to replace its workers");
	} else if (now < settled && settled == policy->min_wait) {
		text_add(reason, "min-wait has ");
		text_seconds(reason, settled - now);
		text_add(reason, " s to go");
	} else if (now < settled) {
		text_add(reason, "waiting for ");
		text_millis(reason, policy->quiet);
		text_add(reason, " s without new connections");
	} else if (sight->in_flight) {
		text_add(reason, "waiting for connections in flight to end");
		if (sight->late && arrives(settle, now)) {
			text_add(reason, "; ");
			text_add(reason, still_sent);
		}
	} else if (sight->udp_workers) {
		text_add(reason, "waiting for workers that may still serve UDP clients");
	}
}
