#ifndef DRAINMON_REPORT_H
#define DRAINMON_REPORT_H

#include "progress.h"
#include <sys/types.h>

/* The lines for whoever reads the log: at most one a second of progress, and only on a change. */
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

/* `master`: nginx's, whose container's log is written to; 0: that of pid 1's. */
void report_open(struct report *report, int out, bool pod_log, bool verbose, pid_t master);

void report_progress(struct report *report, const struct progress *progress, millis now);
/* Keeps progress for the outcome without showing it. */
void report_remember(struct report *report, const struct progress *progress);
/* Shows progress that had to wait for its second. */
void report_tick(struct report *report, millis now);
millis report_due(const struct report *report);

/* The last word on a drain: `outcome` in place of the phase, always shown. */
void report_outcome(struct report *report, const char *outcome, const char *reason, millis now);

/* One line besides the progress, at once. */
void report_note(struct report *report, const char *first, const char *second, const char *third);
/* A note for each line, all of which end. */
void report_lines(struct report *report, const struct text *lines);
/* The same, for --verbose only. */
void report_detail(struct report *report, const char *first, const char *second);

#endif
