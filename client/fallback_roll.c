/* Rolls nginx without the daemon, and counts old workers after a roll. */
#include "fallback_roll.h"

static void record_roll(struct fallback *fallback, const char *how, const char *why)
{
	struct text outcome = TEXT_IN(fallback->rolled);
	text_add(&outcome, how);
	if (!why)
		return;
	text_add(&outcome, " (");
	text_add(&outcome, why);
	text_char(&outcome, ')');
}

static void no_roll(struct fallback *fallback, struct report *report, const char *how,
		    const char *why)
{
	report_note(report, "cannot roll nginx: ", why, "; only waiting");
	record_roll(fallback, how, why);
}

void fallback_begin_roll(struct fallback *fallback, struct report *report, millis now)
{
	char bytes[160];
	struct text why = TEXT_IN(bytes);
	struct roll *roll = &fallback->roll;
	const struct survey *survey = &fallback->lookout.survey;
	roll->udp = survey->udp.count != 0;
	roll->reuseport = survey->reuseport;
	enum roll_state state = roll_begin(roll, fallback->lookout.pid_file, now, &why);
	fallback->rolling = state == ROLL_RUNNING;
	if (state == ROLL_SKIPPED) {
		no_roll(fallback, report, "skipped", bytes);
		settle_roll_skipped(&fallback->settle);
	} else if (state == ROLL_FAILED) {
		no_roll(fallback, report, "failed", bytes);
		settle_roll_failed(&fallback->settle);
	} else {
		record_roll(fallback, roll_way(roll), NULL);
	}
	for (unsigned i = 0; i < roll->master_count; i++) {
		why.used = 0;
		text_number(&why, (uint64_t)roll->masters[i].process.pid);
		report_detail(report,
			      roll->masters[i].reload ? "sent SIGHUP to nginx "
						      : "sent SIGQUIT to workers of nginx ",
			      bytes);
	}
}

void fallback_go_on_rolling(struct fallback *fallback, struct report *report, millis now)
{
	int64_t used = clock_used();
	enum roll_state state = roll_step(&fallback->roll, now);
	fallback->roll_look_at = now + settle_look_pause(clock_used() - used) / 2;
	if (state == ROLL_RUNNING)
		return;
	fallback->rolling = false;
	if (state == ROLL_STUCK) {
		record_roll(fallback, "failed", NOT_REACTING);
		settle_stuck(&fallback->settle);
		fallback->look_at = now;
	} else if (state == ROLL_FAILED) {
		no_roll(fallback, report, "failed",
			"nginx has not replaced its workers on SIGHUP, see its error log");
		settle_roll_failed(&fallback->settle);
	} else {
		record_roll(fallback, roll_way(&fallback->roll), NULL);
		report_detail(report, "new workers have taken over", "");
		settle_rolled(&fallback->settle);
		fallback_find_listeners(fallback,
					report); /* the configuration may have changed them */
	}
}

uint64_t fallback_udp_workers(struct fallback *fallback, millis now)
{
	const struct processes *nginx = &fallback->lookout.nginx;
	const struct carried *ports = &fallback->lookout.survey.udp;
	struct roll *roll = &fallback->roll;
	uint64_t in, out;
	bool answers = false, vanished = false;
	for (unsigned i = 0; i < ports->count; i++)
		answers |= ports_has(&fallback->ports, ports->ports[i]);
	if (ports->count && look_at_datagrams(&in, &out))
		vanished = vanished_look(&fallback->vanished, now, in, out, answers,
					 fallback->policy.unreachable_after) &&
			   roll_has_told_all(roll);
	fallback->udp = ports->count && !vanished &&
			(settle_waits_for_udp(&fallback->settle, &fallback->policy) ||
			 !processes_with(nginx, ROLE_WORKER));
	if (!fallback->udp)
		return 0;
	if (roll->old_count)
		return roll_left(roll);
	return processes_with(nginx, ROLE_QUITTING) + processes_with(nginx, ROLE_WORKER);
}
