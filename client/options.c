/* Flags and their environment variables, in one table; all are checked before a drain starts. */
#include "options.h"
#include "duration.h"
#include "way.h"
#include <stdlib.h>
#include <string.h>

#ifndef DRAINMON_VERSION
#define DRAINMON_VERSION "0.1.0"
#endif

static const char help[] =
	"Holds a pod's shutdown until its nginx has no connection left to lose.\n"
	"\n"
	"  preStop: {exec: {command: [/run/drainmon/drainmon-wait, --timeout=25s]}}\n"
	"\n"
	"The client asks the node's drainmon daemon; without one, it counts by itself. It\n"
	"first waits for new connections to stop, then has nginx close idle ones, then\n"
	"waits for the rest. Give the pod a longer grace period than --timeout.\n"
	"\n"
	"  --timeout 25s          give up after this\n"
	"  --min-wait 5s          wait this long for the endpoint removal to spread\n"
	"  --quiet 1.5s           and until nothing has arrived for this long\n"
	"  --exit-at 0            connections that may remain\n"
	"  --no-roll              do not replace workers: only wait\n"
	"  --ignore-peer CIDR, --ignore-port PORT  ignore these; repeatable\n"
	"  --unreachable-after 10s  a peer unresponsive for this long is gone; 0: never\n"
	"  --node-address ADDR    without a daemon: probes come from there; or `gateway`\n"
	"  --on-missing fallback  without a daemon: fallback (count), pass (exit 0), fail\n"
	"  --socket PATH, @NAME   the daemon (/run/drainmon/drainmon.sock, else @drainmon)\n"
	"  --pid-file PATH        nginx (/run/nginx.pid and other usual places)\n"
	"  --no-pod-log           do not write to the container's own log\n"
	"  --verbose, --version, --help\n"
	"\n"
	"Each flag is also a variable: DRAINMON_MIN_WAIT=5s, DRAINMON_NO_ROLL=1. Flags win.\n"
	"Exit: 0 drained, 1 timeout, cut or stuck, 2 usage, 3 no daemon (--on-missing fail).\n";

enum kind { DURATION, COUNT, PATH, SOCKET, SWITCH, ON_MISSING, PEERS, PORTS, NODES };

enum { AT_TIMEOUT, AT_MIN_WAIT };

static const struct option {
	char flag[20];
	uint16_t kind;
	uint16_t offset;
} table[] = {
	[AT_TIMEOUT] = {"--timeout", DURATION, offsetof(struct options, timeout)},
	[AT_MIN_WAIT] = {"--min-wait", DURATION, offsetof(struct options, min_wait)},
	{"--socket", SOCKET, offsetof(struct options, socket)},
	{"--quiet", DURATION, offsetof(struct options, quiet)},
	{"--exit-at", COUNT, offsetof(struct options, exit_at)},
	{"--on-missing", ON_MISSING, offsetof(struct options, on_missing)},
	{"--pid-file", PATH, offsetof(struct options, pid_file)},
	{"--ignore-peer", PEERS, offsetof(struct options, ignored)},
	{"--ignore-port", PORTS, offsetof(struct options, ignored)},
	{"--unreachable-after", DURATION, offsetof(struct options, unreachable_after)},
	{"--node-address", NODES, offsetof(struct options, node)},
	{"--no-roll", SWITCH, offsetof(struct options, no_roll)},
	{"--no-pod-log", SWITCH, offsetof(struct options, no_pod_log)},
	{"--verbose", SWITCH, offsetof(struct options, verbose)},
};
enum { OPTIONS = sizeof(table) / sizeof(*table) };

/* The index of the value among the words; -1: none. */
static int one_of(const char *value, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	return -1;
}

static bool read_count(const char *value, uint64_t *count)
{
	return span_number(span_of(value), count) && *count <= 1000000000;
}

/* Sets an option. Returns NULL, or an error. */
static const char *set(struct options *options, const struct option *option, const char *value)
{
	static const char *const switches[] = {"0", "1", "false", "true", "no", "yes"};
	static const char *const choices[] = {"fallback", "pass", "fail"};
	void *field = (char *)options + option->offset;
	int choice;
	switch (option->kind) {
	case DURATION:
		return duration_read(value, field) ? NULL
						   : "is not a duration (try 25s, 500ms, 2m)";
	case COUNT:
		return read_count(value, field) ? NULL : "is not a number of connections (try 0)";
	case SOCKET:
		if (!way_fits(value))
			return "is too long for a socket (at most 107 bytes)";
		if (strcmp(value, "@") == 0)
			return "is not a name";
		/* fall through */
	case PATH:
		*(const char **)field = value;
		return *value ? NULL : "is not a path";
	case SWITCH:
		choice = one_of(value, switches, 6);
		*(bool *)field = choice & 1;
		return choice >= 0 ? NULL : "is neither 1 nor 0";
	case ON_MISSING:
		choice = one_of(value, choices, 3);
		*(enum on_missing *)field = (enum on_missing)choice;
		return choice >= 0 ? NULL : "is none of fallback, pass, fail";
	case PEERS:
		return ignored_add_peers(field, value);
	case PORTS:
		return ignored_add_ports(field, value);
	case NODES:
		return node_add(field, value);
	}
	return NULL;
}

/* A value that Kubernetes sets for a Service whose name begins with drainmon-, not an option. */
static bool is_service_link(const char *value)
{
	struct span text = span_of(value);
	return span_starts(text, "tcp://") || span_starts(text, "udp://") ||
	       span_starts(text, "sctp://");
}

static enum options_outcome wrong(struct text *message, const char *name, const char *value,
				  const char *why)
{
	text_add(message, "cannot read ");
	text_foreign(message, (struct span){name, strnlen(name, 80)});
	text_add(message, ": ");
	if (value) {
		text_char(message, '\'');
		text_foreign(message, (struct span){value, strnlen(value, 200)});
		text_add(message, "' ");
	}
	text_add(message, why);
	return OPTIONS_WRONG;
}

/* --min-wait is DRAINMON_MIN_WAIT. */
static void name_variable(const char *flag, struct text *name)
{
	text_add(name, "DRAINMON_");
	for (flag += 2; *flag; flag++)
		text_char(name, *flag == '-' ? '_' : (char)(*flag & ~0x20));
}

static const struct option *find(struct span flag)
{
	for (int i = 0; i < OPTIONS; i++)
		if (span_is(flag, table[i].flag))
			return &table[i];
	return NULL;
}

static enum options_outcome read_flags(struct options *options, char **argv, bool *given,
				       struct text *message)
{
	for (char **argument = argv; *argument; argument++) {
		const char *equals = strchr(*argument, '=');
		size_t size = equals ? (size_t)(equals - *argument) : strlen(*argument);
		const struct option *option = find((struct span){*argument, size});
		if (strcmp(*argument, "--help") == 0) {
			text_add(message, help);
			return OPTIONS_ANSWERED;
		}
		if (strcmp(*argument, "--version") == 0) {
			text_add(message, "drainmon-wait " DRAINMON_VERSION "\n");
			return OPTIONS_ANSWERED;
		}
		if (!option)
			return wrong(message, "the arguments", *argument,
				     "is not known (see --help)");
		const char *value = equals                   ? equals + 1
				    : option->kind == SWITCH ? "1"
							     : *++argument;
		if (!value)
			return wrong(message, option->flag, NULL, "its value is missing");
		const char *why = set(options, option, value);
		if (why)
			return wrong(message, option->flag, value, why);
		given[option - table] = true;
	}
	return OPTIONS_GOOD;
}

/* A wrong variable is not fatal: a hook that fails ends the pod at once. */
static void read_variables(struct options *options, bool *given, struct text *message)
{
	for (int i = 0; i < OPTIONS; i++) {
		char bytes[32];
		struct text variable = TEXT_IN(bytes);
		name_variable(table[i].flag, &variable);
		const char *value = given[i] ? NULL : getenv(bytes);
		/* Empty: not set, as manifests pass on empty values. */
		if (!value || !*value || is_service_link(value))
			continue;
		struct options before = *options;
		const char *why = set(options, &table[i], value);
		given[i] = !why;
		if (!why)
			continue;
		*options = before;
		wrong(message, bytes, value, why);
		text_add(message, "; the default is taken\n");
	}
}

static void name_duration(int option, millis time, const bool *given, struct text *message)
{
	text_add(message, given[option] ? "" : "the default ");
	text_add(message, table[option].flag);
	text_char(message, ' ');
	text_millis(message, time);
	text_char(message, 's');
}

static void fit_min_wait(struct options *options, const bool *given, struct text *message)
{
	if (options->min_wait < options->timeout || !options->timeout)
		return;
	name_duration(AT_MIN_WAIT, options->min_wait, given, message);
	text_add(message, " does not fit into ");
	name_duration(AT_TIMEOUT, options->timeout, given, message);
	options->min_wait = options->timeout / 2;
	text_add(message, ": using ");
	text_millis(message, options->min_wait);
	text_add(message, "s\n");
}

enum options_outcome options_read(struct options *options, char **argv, struct text *message)
{
	bool given[OPTIONS] = {false};
	*options = (struct options){
		.socket = "/run/drainmon/drainmon.sock",
		.timeout = 25000,
		.min_wait = 5000,
		.quiet = 1500,
		.unreachable_after = 10000,
	};
	enum options_outcome outcome = read_flags(options, argv, given, message);
	if (outcome == OPTIONS_GOOD) {
		read_variables(options, given, message);
		fit_min_wait(options, given, message);
	}
	return outcome;
}
