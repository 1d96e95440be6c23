/* The drain without a daemon: look, decide, roll. */
#include "fallback.h"
#include "fallback_roll.h"
#include "namespace.h"
#include "standing.h"

enum {
	LOOK_TWICE = 10,
	AFTER_FAILURE = 1000,
};

void fallback_find_listeners(struct fallback *fallback, struct report *report)
{
	char bytes[256];
	struct text why = TEXT_IN(bytes);
	if (lookout_find(&fallback->lookout, &fallback->ports, fallback->policy.timeout, &why) ||
	    fallback->ports.any_listener)
		return;
	fallback->ports.any_listener = true;
	report_detail(report, "counts on every listening port: ", bytes);
}

static void note_ports(const struct ports *ports, struct report *report)
{
	char bytes[400];
	struct text list = TEXT_IN(bytes);
	bytes[0] = '\0';
	for (unsigned port = 0; port < 65536; port++)
		if (ports_has(ports, (uint16_t)port)) {
			text_char(&list, ' ');
			text_number(&list, port);
		}
	report_detail(report, "counts on the ports", list.used ? bytes : " (none)");
}

void fallback_start(struct fallback *fallback, const struct policy *policy, const char *pid_file,
		    bool nginx_seen, struct report *report, millis now)
{
	fallback->active = true;
	fallback->rolling = fallback->broken = fallback->seen_drained = false;
	fallback->rolled[0] = '\0';
	fallback->vanished = (struct vanished){0};
	fallback->roll.master_count = fallback->roll.old_count = 0;
	fallback->policy = *policy;
	fallback->lookout = (struct lookout){.pid_file = pid_file, .seen = nginx_seen};
	fallback->look_at = now;
	settle_init(&fallback->settle, policy, now);
	fallback->arrivals = (struct arrivals){0};
	carried_into(policy->carried, &fallback->ports);
	/* nginx may have ended since the daemon's last line, with these in flight. */
	if (nginx_seen && report->counted)
		fallback->lookout.life =
			(struct life){.seen = true, .in_flight = report->latest.in_flight};
	fallback_find_listeners(fallback, report);
}

static void show_progress(struct fallback *fallback, struct report *report, millis now)
{
	static const unsigned order[] = {TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2,
					 TCP_CLOSE_WAIT,  TCP_LAST_ACK,  TCP_CLOSING};
	const struct snapshot *snapshot = &fallback->snapshot;
	struct progress progress = {.in_flight = snapshot->in_flight,
				    .unreachable = snapshot->unreachable,
				    .unused = snapshot->unused,
				    .udp_workers = fallback->sight.udp_workers};
	struct text phase = TEXT_IN(progress.phase), reason = TEXT_IN(progress.reason);
	struct text roll = TEXT_IN(progress.roll);
	text_add(&roll, fallback->rolled);
	if (fallback->settle.phase == DRAINED && !fallback->settle.lives) {
		text_add(&phase,
			 lookout_outcome(&fallback->lookout, fallback->policy.exit_at, &reason));
	} else {
		text_add(&phase, settle_phase(&fallback->settle));
		settle_reason(&fallback->settle, &fallback->policy, now, &fallback->sight, &reason);
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		progress_state(&progress, standing_state(order[i]), snapshot->by_state[order[i]]);
	lookout_progress(&fallback->lookout, fallback->udp, &progress);
	if (fallback->settle.phase >= DRAINED)
		report_remember(report, &progress);
	else
		report_progress(report, &progress, now);
}

static void plan_next_look(struct fallback *fallback, millis began, int64_t used)
{
	millis now = clock_now();
	fallback->look_takes = now - began;
	fallback->look_at = began + settle_look_pause(clock_used() - used);
	/* Look shortly before the deadline, to name the remaining connections. */
	millis last_look = fallback->policy.timeout - 2 * fallback->look_takes - 5;
	if (now < last_look && fallback->look_at > last_look)
		fallback->look_at = last_look;
}

/* In a long table the kernel may skip a socket between two reads: the drain ends when two snapshots
 * agree that nothing is in flight. */
static bool is_believed(struct fallback *fallback, const struct snapshot *snapshot)
{
	bool drained = snapshot->in_flight <= fallback->policy.exit_at;
	bool believed = !drained || !snapshot->seams || fallback->seen_drained;
	fallback->seen_drained = drained;
	return believed;
}

static void note_source(struct fallback *fallback, struct report *report)
{
	const char *source = look_source();
	if (fallback->source != source)
		report_detail(report, "looks at sockets by ", source);
	fallback->source = source;
}

static enum settle_action look(struct fallback *fallback, struct report *report, millis now)
{
	static struct snapshot snapshot;
	char bytes[128];
	struct text why = TEXT_IN(bytes);
	const struct survey *survey = &fallback->lookout.survey;
	int64_t used = clock_used();
	bool first = !fallback->settle.counted;
	enum look look = look_at_sockets(&snapshot, &fallback->ports, &fallback->policy, &why);
	if (look == LOOK_DONE && !lookout_look(&fallback->lookout, &fallback->ports,
					       &snapshot.in_flight, fallback->policy.timeout))
		look = LOOK_LATE;
	plan_next_look(fallback, now, used);
	if (look == LOOK_FAILED) {
		if (!fallback->broken)
			report_note(report, "cannot count: ", bytes, "; waiting for the timeout");
		fallback->broken = true;
		fallback->look_at = now + AFTER_FAILURE;
	}
	if (look != LOOK_DONE)
		return SETTLE_LOOK_AGAIN;
	fallback->broken = false;
	fallback->snapshot = snapshot;
	note_source(fallback, report);
	arrivals_add(&fallback->arrivals, snapshot.arrivals_before, snapshot.arrivals,
		     snapshot.ignored_new);
	if (!fallback->ports.count && !fallback->ports.any_listener && !survey->uncounted[0] &&
	    !survey->udp.count && !survey->inherited) {
		/* The process that the pid file names does not listen here. */
		fallback->ports.any_listener = true;
		fallback->look_at = now;
		return SETTLE_LOOK_AGAIN;
	}
	if (!is_believed(fallback, &snapshot)) {
		fallback->look_at = now + LOOK_TWICE;
		return SETTLE_LOOK_AGAIN;
	}
	if (first)
		note_ports(&fallback->ports, report);
	/* The daemon knows which listeners are nginx's, where this program does not. */
	if (!fallback->ports.any_listener || !survey->listens)
		carried_add_all(fallback->policy.carried, &fallback->ports);
	now = clock_now(); /* an arrival is dated when it was seen: later than it was, never earlier
			    */
	fallback->sight = (struct sight){
		.in_flight = snapshot.in_flight,
		.arrivals = fallback->arrivals.others + fallback->lookout.arrived_elsewhere,
		.udp_workers = fallback_udp_workers(fallback, now),
		.udp_told = !processes_with(&fallback->lookout.nginx, ROLE_WORKER),
		.listens = lookout_listens(&fallback->lookout, snapshot.listens),
		.lives = !fallback->lookout.life.ended,
		.late = snapshot.late,
		.late_since = snapshot.late_since,
	};
	bool settling = fallback->settle.phase == SETTLING;
	enum settle_action action =
		settle_step(&fallback->settle, &fallback->policy, now, &fallback->sight);
	if (action == SETTLE_ROLL)
		fallback_begin_roll(fallback, report, now);
	else if (settling && fallback->settle.phase == WAITING && !fallback->sight.listens)
		report_detail(report, "does not roll nginx: it quits", "");
	show_progress(fallback, report, now);
	return action;
}

enum settle_action fallback_step(struct fallback *fallback, struct report *report, millis now)
{
	if (fallback->rolling && now >= fallback->roll_look_at)
		fallback_go_on_rolling(fallback, report, now);
	/* A snapshot that would end after the timeout only delays the exit. */
	if (now + fallback->look_takes > fallback->policy.timeout)
		fallback->look_at = fallback->policy.timeout;
	if (now < fallback->look_at)
		return SETTLE_LOOK_AGAIN;
	return look(fallback, report, now);
}

millis fallback_due(const struct fallback *fallback)
{
	if (!fallback->active)
		return INT64_MAX;
	bool rolls = fallback->rolling && fallback->roll_look_at < fallback->look_at;
	return rolls ? fallback->roll_look_at : fallback->look_at;
}

bool fallback_has_nothing(const struct fallback *fallback)
{
	return lookout_saw_none(&fallback->lookout) && !fallback->lookout.pid_file &&
	       !fallback->policy.carried->count && namespaces_are_hosts();
}

bool fallback_was_cut(const struct fallback *fallback)
{
	return !fallback->settle.lives &&
	       life_was_cut(&fallback->lookout.life, fallback->policy.exit_at);
}

void fallback_rolls(const struct fallback *fallback, struct policy *policy)
{
	policy->roll &= !fallback->settle.roll_failed;
	policy->rolls = fallback->settle.rolls;
	policy->rolled = fallback->settle.last_roll;
}

bool fallback_hint(const struct fallback *fallback, millis now, struct text *reason)
{
	bool newcomers = settle_newcomers(&fallback->settle, now, &fallback->sight, reason);
	if (lookout_saw_none(&fallback->lookout))
		text_add(reason, "; " NOT_SEEN);
	if (!fallback->snapshot.unrequested)
		return newcomers;
	text_add(reason, "; ");
	text_number(reason, fallback->snapshot.unrequested);
	text_add(reason, fallback->snapshot.unrequested == 1
				 ? " connection seems to have sent no request since it opened"
				 : " connections seem to have sent no request since they opened");
	text_add(reason, " (see client_header_timeout)");
	return newcomers;
}

bool fallback_left(const struct fallback *fallback, unsigned index, struct text *description)
{
	const struct snapshot *snapshot = &fallback->snapshot;
	if (index >= snapshot->left_count)
		return false;
	address_text(&snapshot->left[index].remote, description);
	text_char(description, ' ');
	text_add(description, standing_state(snapshot->left[index].state));
	text_add(description, ", ");
	text_number(description, snapshot->left[index].unsent);
	text_add(description, " B unsent");
	return true;
}
