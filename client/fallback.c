/* The drain without a daemon: look, decide, roll. */
#include "fallback.h"
#include "standing.h"

enum {
	LOOK_TWICE = 10,
	ROLL_LOOK_EVERY = 50,
	AFTER_FAILURE = 1000,
};

static void find_listeners(struct fallback *fallback, struct report *report)
{
	char bytes[256];
	struct text why = TEXT_IN(bytes);
	if (lookout_find(&fallback->lookout, &fallback->ports, fallback->policy.timeout, &why) ||
	    fallback->ports.any_listener)
		return;
	fallback->ports.any_listener = true;
	report_detail(report, "counts on every listening port: ", bytes);
}

static void say_ports(const struct ports *ports, struct report *report)
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
	fallback->policy = *policy;
	fallback->lookout = (struct lookout){.pid_file = pid_file};
	fallback->look_at = now;
	settle_init(&fallback->settle, policy, now);
	fallback->arrivals = (struct arrivals){0};
	carried_into(policy->carried, &fallback->ports);
	/* An nginx that ends while a daemon falls silent is one that had these. */
	if (nginx_seen && report->counted)
		fallback->lookout.life =
			(struct life){.seen = true, .in_flight = report->latest.in_flight};
	find_listeners(fallback, report);
}

static void begin_roll(struct fallback *fallback, struct report *report, millis now)
{
	char bytes[320];
	struct text why = TEXT_IN(bytes);
	bytes[0] = '\0';
	if (fallback->lookout.life.quitting) {
		fallback->policy.roll = false;
		settle_cannot_roll(&fallback->settle);
		report_detail(report, "does not roll nginx: it quits", "");
		return;
	}
	fallback->rolling = roll_begin(&fallback->roll, fallback->lookout.pid_file, now, &why);
	if (!fallback->rolling) {
		report_note(report, "cannot roll nginx: ", bytes, "; only waiting");
		fallback->policy.roll = false;
		settle_cannot_roll(&fallback->settle);
		return;
	}
	text_number(&why, (uint64_t)fallback->roll.master);
	report_detail(report, "sent SIGHUP to nginx ", bytes);
}

static void go_on_rolling(struct fallback *fallback, struct report *report, millis now)
{
	enum roll_state state = roll_step(&fallback->roll, now);
	if (state == ROLL_RUNNING)
		return;
	if (state == ROLL_FORCED)
		report_note(report, "nginx started no new workers on SIGHUP, as with a broken ",
			    "configuration",
			    fallback->roll.old_count ? ": sent SIGQUIT to the old ones" : "");
	else
		report_detail(report, "new workers have taken over", "");
	fallback->rolling = false;
	settle_rolled(&fallback->settle);
	find_listeners(fallback, report); /* the configuration may have changed them */
}

static void say_progress(struct fallback *fallback, struct report *report, millis now)
{
	static const unsigned order[] = {TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2,
					 TCP_CLOSE_WAIT,  TCP_LAST_ACK,  TCP_CLOSING};
	const struct snapshot *snapshot = &fallback->snapshot;
	struct progress progress = {.in_flight = snapshot->in_flight,
				    .unreachable = snapshot->unreachable,
				    .unused = snapshot->unused};
	struct text phase = TEXT_IN(progress.phase), reason = TEXT_IN(progress.reason);
	if (fallback->settle.phase == DRAINED && fallback->settle.nginx_ended) {
		text_add(&phase,
			 lookout_outcome(&fallback->lookout, fallback->policy.exit_at, &reason));
	} else {
		text_add(&phase, settle_phase(&fallback->settle));
		settle_reason(&fallback->settle, &fallback->policy, now, snapshot->in_flight,
			      &reason);
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		uint64_t count = snapshot->by_state[order[i]];
		if (!count)
			continue;
		struct text name = TEXT_IN(progress.states[progress.state_count].name);
		text_add(&name, standing_state(order[i]));
		progress.states[progress.state_count++].count = count;
	}
	lookout_progress(&fallback->lookout, &progress);
	if (fallback->settle.phase == DRAINED || fallback->settle.phase == DEADLINE)
		report_remember(report, &progress);
	else
		report_progress(report, &progress, now);
}

static void plan_next_look(struct fallback *fallback, millis began, int64_t used)
{
	millis now = clock_now();
	fallback->look_takes = now - began;
	fallback->look_at = began + settle_look_pause(clock_used() - used);
	/* Who is left at the deadline should be known from shortly before. */
	millis last_look = fallback->policy.timeout - 2 * fallback->look_takes - 5;
	if (now < last_look && fallback->look_at > last_look)
		fallback->look_at = last_look;
}

/* In a long table the kernel may lose its place between two reads, and pass over a socket: that
 * nothing is left is believed when it is seen twice. */
static bool is_believed(struct fallback *fallback, const struct snapshot *snapshot)
{
	bool drained = snapshot->in_flight <= fallback->policy.exit_at;
	bool believed = !drained || !snapshot->seams || fallback->seen_drained;
	fallback->seen_drained = drained;
	return believed;
}

static void nginx_ended(struct fallback *fallback)
{
	fallback->rolling = false;
	fallback->policy.roll = false;
	settle_nginx_ended(&fallback->settle);
}

static void say_source(struct fallback *fallback, struct report *report)
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
	say_source(fallback, report);
	arrivals_add(&fallback->arrivals, snapshot.arrivals_before, snapshot.arrivals,
		     snapshot.ignored_new);
	if (!fallback->ports.count && !fallback->ports.any_listener &&
	    !fallback->lookout.survey.uncounted[0] && !fallback->lookout.survey.inherited) {
		/* Whatever the pid file names, it is not who listens here. */
		fallback->ports.any_listener = true;
		fallback->look_at = now;
		return SETTLE_LOOK_AGAIN;
	}
	if (!is_believed(fallback, &snapshot)) {
		fallback->look_at = now + LOOK_TWICE;
		return SETTLE_LOOK_AGAIN;
	}
	if (first)
		say_ports(&fallback->ports, report);
	/* Of all that listens here, only the daemon can tell what is nginx's. */
	if (!fallback->ports.any_listener || !fallback->lookout.survey.listens)
		carried_add_all(fallback->policy.carried, &fallback->ports);
	if (fallback->lookout.life.ended)
		nginx_ended(fallback);
	now = clock_now(); /* an arrival is dated when it was seen: later than it was, never earlier
			    */
	enum settle_action action =
		settle_step(&fallback->settle, &fallback->policy, now, snapshot.in_flight,
			    fallback->arrivals.others + fallback->lookout.arrived_elsewhere);
	if (action == SETTLE_ROLL)
		begin_roll(fallback, report, now);
	say_progress(fallback, report, now);
	return action;
}

enum settle_action fallback_step(struct fallback *fallback, struct report *report, millis now)
{
	if (fallback->rolling)
		go_on_rolling(fallback, report, now);
	/* A look that cannot end in time would only delay the exit. */
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
	millis rolling = clock_now() + ROLL_LOOK_EVERY;
	return fallback->rolling && rolling < fallback->look_at ? rolling : fallback->look_at;
}

bool fallback_was_cut(const struct fallback *fallback)
{
	return fallback->settle.nginx_ended &&
	       life_was_cut(&fallback->lookout.life, fallback->policy.exit_at);
}

void fallback_rolls(const struct fallback *fallback, struct policy *policy)
{
	if (fallback->rolling)
		return;
	policy->rolls = fallback->settle.rolls;
	policy->rolled = fallback->settle.last_roll;
}

void fallback_hint(const struct fallback *fallback, struct text *reason)
{
	if (!fallback->snapshot.unrequested)
		return;
	text_add(reason, "; ");
	text_number(reason, fallback->snapshot.unrequested);
	text_add(reason, fallback->snapshot.unrequested == 1
				 ? " connection seems to have sent no request since it opened"
				 : " connections seem to have sent no request since they opened");
	text_add(reason, " (client_header_timeout closes such)");
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
