#ifndef DRAINMON_REPORT_H
#define DRAINMON_REPORT_H

#include "progress.h"
#include <sys/types.h>

/* Lines for readers of the log: at most one progress line per second, and only after a change. */
struct report {
	int out;
	int pod_log; /* -1: none, or the same file as `out` */
	bool verbose;
	bool counted; /* there is a latest progress */
	bool pending;
	uint64_t shown; /* fingerprint of the progress shown last */
	millis shown_at;
	struct progress latest;
};

/* Also writes to the log of the container of `master`; 0: of pid 1. */
void report_open(struct report *report, int out, bool pod_log, bool verbose, pid_t master);

void report_progress(struct report *report, const struct progress *progress, millis now);
/* Keeps progress for the outcome without showing it. */
void report_remember(struct report *report, const struct progress *progress);
/* Shows progress that was held back for a second. */
void report_tick(struct report *report, millis now);
millis report_due(const struct report *report);

/* The last line of a drain, always shown: `outcome` in place of the phase. */
void report_outcome(struct report *report, const char *outcome, const char *reason, millis now);

/* Shows a line besides the progress at once. */
void report_note(struct report *report, const char *first, const char *second, const char *third);
/* Shows each line of a text whose lines all end with a newline. */
void report_lines(struct report *report, const struct text *lines);
/* The same, for --verbose only. */
void report_detail(struct report *report, const char *first, const char *second);

#endif
