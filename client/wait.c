/* drainmon-wait, the preStop hook: holds a pod's shutdown until nothing can be lost. */
#include "clock.h"
#include "daemon.h"
#include "fallback.h"
#include "options.h"
#include "report.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

enum { EXIT_DRAINED = 0, EXIT_LOST = 1, EXIT_USAGE = 2, EXIT_CANNOT_COUNT = 3, RUNNING = -1 };

/* Milliseconds after the timeout at which the program exits, even if a write or /proc hangs. */
enum { OVERTIME = 50 };

/* Remaining connections that are named when other ones will replace them in a moment. */
enum { A_FEW = 3 };

struct wait {
	struct options options;
	struct policy policy;
	struct carried carried;
	bool nginx_seen; /* when this program started */
	struct report report;
	struct daemon daemon;
	const char *way; /* the way in at which the daemon answers; NULL: none */
	struct fallback fallback;
};

/* A descriptor opened in place of a closed stdout would receive progress lines. */
static void fill_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static void overtime(int signal)
{
	(void)signal;
	_exit(EXIT_LOST);
}

/* A hook inherits ignored and blocked signals from its runtime. */
static void set_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGALRM, overtime);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_overtime(millis timeout)
{
	millis at = timeout + OVERTIME;
	struct itimerval timer = {.it_value = {at / 1000, at % 1000 * 1000}};
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void open_report(struct wait *wait, int out)
{
	const struct options *options = &wait->options;
	char bytes[320];
	struct text why = TEXT_IN(bytes);
	pid_t master = nginx_master(options->pid_file, &why);
	wait->nginx_seen = master != 0;
	report_open(&wait->report, out, !options->no_pod_log, options->verbose, master);
}

static void make_policy(struct wait *wait)
{
	struct options *options = &wait->options;
	node_find_gateways(&options->node);
	wait->policy = (struct policy){
		.timeout = options->timeout,
		.min_wait = options->min_wait,
		.quiet = options->quiet,
		.exit_at = options->exit_at,
		.roll = !options->no_roll,
		.ignored = &options->ignored,
		.carried = &wait->carried,
		.nodes = &options->node.addresses,
		.unreachable_after = options->unreachable_after,
	};
}

static void note_left(struct report *report, const char *left)
{
	report_note(report, "left: ", left, "");
}

static void note_more_left(struct report *report, unsigned named)
{
	char bytes[32];
	struct text more = TEXT_IN(bytes);
	if (!named || report->latest.in_flight <= named)
		return;
	text_number(&more, report->latest.in_flight - named);
	report_note(report, "left: ", bytes, " more");
}

static int finish_by_answer(struct wait *wait, const struct answer *answer, millis now)
{
	struct report *report = &wait->report;
	report_remember(report, &answer->progress);
	if (answer->result == RESULT_DEADLINE && now + DAEMON_MARGIN >= wait->policy.timeout)
		now = wait->policy.timeout;
	report_outcome(report, answer->progress.phase, answer->progress.reason, now);
	if (answer->result == RESULT_DRAINED || answer->result == RESULT_GONE)
		return EXIT_DRAINED;
	char bytes[256];
	size_t cursor = 0;
	unsigned named = 0;
	for (; named < LEFT_AT_MOST; named++) {
		struct text left = TEXT_IN(bytes);
		if (!answer_next_left(answer->remaining, &cursor, &left))
			break;
		note_left(report, bytes);
	}
	note_more_left(report, named);
	return EXIT_LOST;
}

/* Names at most `most` of the remaining connections. */
static int finish_in_vain(struct wait *wait, const char *outcome, const char *why, unsigned most,
			  millis now)
{
	struct report *report = &wait->report;
	report_outcome(report, outcome, why, now);
	if (!wait->fallback.active)
		return EXIT_LOST;
	char bytes[256];
	unsigned named = 0;
	for (; named < most; named++) {
		struct text left = TEXT_IN(bytes);
		if (!fallback_left(&wait->fallback, named, &left))
			break;
		note_left(report, bytes);
	}
	note_more_left(report, named);
	return EXIT_LOST;
}

static int finish_by_deadline(struct wait *wait, millis now)
{
	char reason[400];
	struct text why = TEXT_IN(reason);
	bool newcomers = false;
	text_add(&why, "the timeout of ");
	text_millis(&why, wait->policy.timeout);
	text_add(&why, " s is over");
	if (wait->fallback.active)
		newcomers = fallback_hint(&wait->fallback, now, &why);
	return finish_in_vain(wait, "deadline", reason, newcomers ? A_FEW : LEFT_AT_MOST, now);
}

static int finish_alone(struct wait *wait, millis now)
{
	const struct progress *latest = &wait->report.latest;
	report_outcome(&wait->report, latest->phase, latest->reason, now);
	return fallback_was_cut(&wait->fallback) ? EXIT_LOST : EXIT_DRAINED;
}

static int finish_without_nginx(struct wait *wait, millis now)
{
	wait->report.counted = true;
	report_outcome(&wait->report, "drained", "no nginx here: nothing to drain", now);
	return EXIT_DRAINED;
}

static int daemon_answered(struct wait *wait, const struct answer *answer, millis now)
{
	if (wait->fallback.active)
		report_note(&wait->report, "the daemon is back and counts again", "", "");
	wait->fallback.active = false;
	if (!wait->way)
		report_detail(&wait->report, "the daemon answers at ", daemon_way(&wait->daemon));
	wait->way = daemon_way(&wait->daemon);
	if (answer->result)
		return finish_by_answer(wait, answer, now);
	for (unsigned i = 0; i < answer->ports.count; i++)
		carried_add(&wait->carried, answer->ports.ports[i]);
	/* A roll that was skipped or failed is not tried again. */
	struct span roll = span_of(answer->progress.roll);
	if (span_starts(roll, "skipped") || span_starts(roll, "failed"))
		wait->policy.roll = false;
	if (answer->rolls > wait->policy.rolls) {
		wait->policy.rolls = answer->rolls;
		wait->policy.rolled = answer->rolled;
	}
	report_progress(&wait->report, &answer->progress, now);
	return RUNNING;
}

static int daemon_lost(struct wait *wait, millis now)
{
	struct report *report = &wait->report;
	const char *why = wait->daemon.why;
	static const char cannot[] = "cannot use the daemon: ";
	wait->way = NULL;
	if (wait->options.on_missing != MISSING_FALLBACK && wait->daemon.at != DAEMON_AWAY)
		return RUNNING; /* there is another way in */
	switch (wait->options.on_missing) {
	case MISSING_PASS:
		report_note(report, cannot, why, "; not waiting (--on-missing=pass)");
		return EXIT_DRAINED;
	case MISSING_FAIL:
		report_note(report, cannot, why, "");
		return EXIT_CANNOT_COUNT;
	case MISSING_FALLBACK:
		break;
	}
	if (wait->fallback.active) {
		report_detail(report, "still cannot use the daemon: ", why);
		return RUNNING;
	}
	report_note(report, cannot, why, "; counting without it");
	fallback_start(&wait->fallback, &wait->policy, wait->options.pid_file, wait->nginx_seen,
		       report, now);
	return fallback_has_nothing(&wait->fallback) ? finish_without_nginx(wait, now) : RUNNING;
}

static void sleep_until_due(struct wait *wait)
{
	const millis dues[] = {daemon_due(&wait->daemon), fallback_due(&wait->fallback),
			       report_due(&wait->report)};
	millis until = wait->policy.timeout, now = clock_now();
	for (size_t i = 0; i < sizeof(dues) / sizeof(*dues); i++)
		if (dues[i] < until)
			until = dues[i];
	struct pollfd arrival = {.fd = wait->daemon.fd, .events = POLLIN};
	poll(&arrival, 1, until > now ? (int)(until - now) : 0);
}

static int run(struct wait *wait)
{
	for (;;) {
		struct answer answer;
		millis now = clock_now();
		int code = RUNNING;
		if (now >= wait->policy.timeout)
			return finish_by_deadline(wait, now);
		enum daemon_event event = daemon_step(&wait->daemon, &wait->policy, now, &answer);
		if (event == DAEMON_ANSWER)
			code = daemon_answered(wait, &answer, now);
		else if (event == DAEMON_LOST)
			code = daemon_lost(wait, now);
		if (code != RUNNING)
			return code;
		if (event == DAEMON_ANSWER) /* there may be more to read already */
			continue;
		if (wait->fallback.active) {
			enum settle_action action =
				fallback_step(&wait->fallback, &wait->report, now);
			fallback_rolls(&wait->fallback, &wait->policy);
			if (action == SETTLE_DEADLINE)
				return finish_by_deadline(wait, clock_now());
			if (action == SETTLE_STUCK)
				return finish_in_vain(wait, "stuck", NOT_REACTING, LEFT_AT_MOST,
						      clock_now());
			if (action == SETTLE_DRAINED)
				return finish_alone(wait, clock_now());
		}
		report_tick(&wait->report, now);
		sleep_until_due(wait);
	}
}

int main(int argc, char **argv)
{
	static struct wait wait;
	static char bytes[4096];
	struct text message = TEXT_IN(bytes);
	clock_begin();
	fill_standard_descriptors();
	set_signals();
	enum options_outcome outcome =
		options_read(&wait.options, argc > 0 ? argv + 1 : argv, &message);
	if (outcome == OPTIONS_ANSWERED)
		return write(STDOUT_FILENO, message.at, message.used) < 0;
	if (outcome == OPTIONS_WRONG) {
		open_report(&wait, STDERR_FILENO);
		report_note(&wait.report, message.at, "", "");
		return EXIT_USAGE;
	}
	set_overtime(wait.options.timeout);
	open_report(&wait, STDOUT_FILENO);
	report_lines(&wait.report, &message);
	make_policy(&wait);
	daemon_init(&wait.daemon, wait.options.socket);
	return run(&wait);
}
