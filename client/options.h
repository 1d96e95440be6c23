#ifndef DRAINMON_OPTIONS_H
#define DRAINMON_OPTIONS_H

#include "node.h"
#include "settle.h"

enum on_missing { MISSING_FALLBACK, MISSING_PASS, MISSING_FAIL };

struct options {
	const char *socket;
	const char *pid_file; /* NULL: the usual places */
	millis timeout;
	millis min_wait;
	millis quiet;
	uint64_t exit_at;
	enum on_missing on_missing;
	bool no_roll;
	bool no_pod_log;
	bool verbose;
	struct ignored ignored;
	millis unreachable_after;
	struct node node;
};

enum options_outcome {
	OPTIONS_GOOD,     /* `message` has a line for each value that was ignored */
	OPTIONS_ANSWERED, /* --help or --version: `message` is the answer */
	OPTIONS_WRONG,    /* `message` is the error */
};

/* Reads flags, then variables for flags that are not given, then the defaults. */
enum options_outcome options_read(struct options *options, char **argv, struct text *message);

#endif
