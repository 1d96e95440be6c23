/* nginx's processes and their sockets, from snapshot to snapshot. */
#include "lookout.h"
#include "nginx.h"
#include <string.h>

bool lookout_find(struct lookout *lookout, struct ports *ports, millis stop_at, struct text *why)
{
	lookout->named = nginx_master(lookout->pid_file, why);
	processes_find(&lookout->nginx, lookout->named);
	lookout->seen |= lookout->nginx.count || processes_called_nginx();
	if (!survey_take(&lookout->survey, &lookout->nginx, ports, stop_at))
		lookout->survey.known = false;
	if (lookout->survey.known)
		return true;
	if (lookout->nginx.count) {
		why->used = 0;
		text_add(why, "cannot read which sockets nginx holds");
	}
	return false;
}

bool lookout_saw_none(const struct lookout *lookout)
{
	return !lookout->seen && !lookout->nginx.count;
}

bool lookout_look(struct lookout *lookout, struct ports *ports, uint64_t *in_flight, millis stop_at)
{
	bool whole = true;
	if (lookout->survey.inherited) {
		uint64_t before = lookout->survey.elsewhere;
		whole = survey_take(&lookout->survey, &lookout->nginx, ports, stop_at);
		if (lookout->survey.elsewhere > before)
			lookout->arrived_elsewhere += lookout->survey.elsewhere - before;
		*in_flight += lookout->survey.elsewhere;
	}
	/* After another program's reload all known workers quit. */
	processes_again(&lookout->nginx);
	if (!processes_with(&lookout->nginx, ROLE_WORKER))
		processes_find(&lookout->nginx, lookout->named);
	if (whole)
		life_look(&lookout->life, &lookout->nginx, *in_flight);
	return whole;
}

const char *lookout_outcome(const struct lookout *lookout, uint64_t exit_at, struct text *reason)
{
	if (!life_was_cut(&lookout->life, exit_at)) {
		text_add(reason, "nginx has ended");
		return "gone";
	}
	text_add(reason, "nginx was stopped while connections were in flight: ");
	text_number(reason, lookout->life.in_flight);
	return "cut";
}

bool lookout_listens(const struct lookout *lookout, bool seen)
{
	const struct survey *survey = &lookout->survey;
	return !lookout->life.ended &&
	       (seen || survey->uncounted[0] || survey->udp.count || survey->inherited ||
		processes_with(&lookout->nginx, ROLE_WORKER));
}

void lookout_progress(const struct lookout *lookout, bool udp, struct progress *progress)
{
	struct text uncounted = TEXT_IN(progress->uncounted);
	struct text reason = TEXT_IN(progress->reason);
	reason.used = strlen(progress->reason);
	const struct carried *ports = &lookout->survey.udp;
	text_add(&uncounted, lookout->survey.uncounted);
	for (unsigned i = 0; i < ports->count && !udp; i++) {
		text_add(&uncounted, uncounted.used ? ", udp " : "udp ");
		text_number(&uncounted, ports->ports[i]);
	}
	if (strcmp(progress->phase, "drained") == 0) {
		if (uncounted.used && !progress->in_flight)
			text_add(&reason, "nothing in flight over TCP");
		if (lookout_saw_none(lookout))
			text_add(&reason, reason.used ? "; " NOT_SEEN : NOT_SEEN);
	}
	progress_state(progress, "elsewhere", lookout->survey.elsewhere);
}
