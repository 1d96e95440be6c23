/* Kubernetes does not show a hook's output, so lines also go to the container's own log. Either may
 * have no reader, so writes never block. */
#include "report.h"
#include "proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EVERY = 1000, LINE = 800 };

/* musl's fstat uses statx, and code to convert its result. */
static bool file_of(int fd, struct stat *file)
{
	return syscall(SYS_fstat, fd, file) == 0;
}

static bool same_file(int a, int b)
{
	struct stat one, other;
	return file_of(a, &one) && file_of(b, &other) && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

static bool is_null(int fd)
{
	struct stat one, null;
	int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool is = file_of(fd, &one) && file_of(opened, &null) && S_ISCHR(one.st_mode) &&
		  one.st_rdev == null.st_rdev;
	if (opened >= 0)
		close(opened);
	return is;
}

/* The log of nginx's container, else of the container of pid 1, which in a shared pid namespace is
 * the pod's pause. */
static int open_pod_log(pid_t master)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);
	const int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	proc_path(&path, master ? master : 1, "fd/1");
	int fd = open(bytes, flags);
	if (!master || (fd >= 0 && !is_null(fd)))
		return fd;
	if (fd >= 0)
		close(fd);
	return open_pod_log(0);
}

void report_open(struct report *report, int out, bool pod_log, bool verbose, pid_t master)
{
	*report =
		(struct report){.out = out, .pod_log = -1, .verbose = verbose, .shown_at = -EVERY};
	if (!pod_log)
		return;
	report->pod_log = open_pod_log(master);
	if (report->pod_log >= 0 && same_file(report->pod_log, out)) {
		close(report->pod_log);
		report->pod_log = -1;
	}
}

static void put(int fd, const struct text *line)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	if (fd < 0 || poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
		return;
	/* A pipe that is ready takes a line whole; a socket needs MSG_DONTWAIT. A full disk or a
	 * reader that is gone is no reason to hold a shutdown. */
	if (send(fd, line->at, line->used, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK &&
	    write(fd, line->at, line->used) < 0)
		return;
}

static void show(struct report *report, struct text *line)
{
	if (line->used + 1 >= line->size)
		line->used = line->size - 2;
	text_char(line, '\n');
	put(report->out, line);
	put(report->pod_log, line);
}

static void add_count(uint64_t count, const char *what, struct text *line)
{
	if (!count)
		return;
	text_number(line, count);
	text_add(line, what);
}

static void describe(const struct progress *progress, const char *phase, const char *reason,
		     millis now, struct text *line)
{
	text_add(line, "drainmon: ");
	text_add(line, phase);
	text_add(line, ", ");
	text_number(line, progress->in_flight);
	text_add(line, " in flight");
	if (*progress->states) {
		text_add(line, " (");
		text_add(line, progress->states);
		text_char(line, ')');
	}
	text_add(line, ", ");
	add_count(progress->unreachable, " unreachable, ", line);
	add_count(progress->unused, " unused, ", line);
	add_count(progress->udp_workers, " UDP workers, ", line);
	if (*progress->roll) {
		text_add(line, "roll: ");
		text_add(line, progress->roll);
		text_add(line, ", ");
	}
	text_seconds(line, now);
	text_add(line, " s");
	if (*reason) {
		text_add(line, ": ");
		text_add(line, reason);
	}
	if (*progress->uncounted && !span_has(span_of(reason), "cannot count")) {
		text_add(line, *reason ? "; cannot count " : ": cannot count ");
		text_add(line, progress->uncounted);
	}
}

static void describe_uncounted(const char *outcome, millis now, struct text *line)
{
	text_add(line, "drainmon: ");
	text_add(line, outcome);
	text_add(line, ", ");
	text_seconds(line, now);
	text_add(line, " s: nothing was counted");
}

/* A hash of a line without the time and the reason's countdown: equal lines are shown once. */
static uint64_t fingerprint(const struct progress *progress)
{
	char bytes[LINE], reason[sizeof(progress->reason)];
	struct text line = TEXT_IN(bytes), steady = TEXT_IN(reason);
	reason[0] = '\0';
	for (const char *c = progress->reason; *c; c++)
		if (*c != '.' && (*c < '0' || *c > '9'))
			text_char(&steady, *c);
	describe(progress, progress->phase, reason, 0, &line);
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	for (size_t i = 0; i < line.used; i++)
		hash = (hash ^ (unsigned char)line.at[i]) * 1099511628211u;
	return hash;
}

void report_remember(struct report *report, const struct progress *progress)
{
	report->latest = *progress;
	report->counted = true;
}

void report_progress(struct report *report, const struct progress *progress, millis now)
{
	report_remember(report, progress);
	report->pending = fingerprint(progress) != report->shown;
	report_tick(report, now);
}

void report_tick(struct report *report, millis now)
{
	if (!report->pending || now < report->shown_at + EVERY)
		return;
	char bytes[LINE];
	struct text line = TEXT_IN(bytes);
	describe(&report->latest, report->latest.phase, report->latest.reason, now, &line);
	show(report, &line);
	report->pending = false;
	report->shown = fingerprint(&report->latest);
	report->shown_at = now;
}

millis report_due(const struct report *report)
{
	return report->pending ? report->shown_at + EVERY : INT64_MAX;
}

void report_outcome(struct report *report, const char *outcome, const char *reason, millis now)
{
	char bytes[LINE];
	struct text line = TEXT_IN(bytes);
	report->pending = false;
	if (report->counted)
		describe(&report->latest, outcome, reason, now, &line);
	else
		describe_uncounted(outcome, now, &line);
	show(report, &line);
}

void report_note(struct report *report, const char *first, const char *second, const char *third)
{
	char bytes[LINE];
	struct text line = TEXT_IN(bytes);
	text_add(&line, "drainmon: ");
	text_add(&line, first);
	text_add(&line, second);
	text_add(&line, third);
	show(report, &line);
}

void report_lines(struct report *report, const struct text *lines)
{
	char *at = lines->at, *newline;
	for (; lines->used && (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
		*newline = '\0';
		report_note(report, at, "", "");
	}
}

void report_detail(struct report *report, const char *first, const char *second)
{
	if (report->verbose)
		report_note(report, first, second, "");
}
