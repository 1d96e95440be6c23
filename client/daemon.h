#ifndef DRAINMON_DAEMON_H
#define DRAINMON_DAEMON_H

#include "answer.h"
#include "http.h"
#include "settle.h"

/* The daemon's deadline comes so much before ours, or less. */
enum { DAEMON_MARGIN = 250 };

/* Conversations with the daemon over its unix sockets, one at a time; never blocks. */
struct daemon {
	const char *ways[2]; /* in, as way.h has them */
	unsigned way_count;
	unsigned way;     /* to try now */
	unsigned untried; /* ways to try before all are tried again */
	bool reached;     /* connect() to one of those tried has worked */
	enum { DAEMON_AWAY, DAEMON_CONNECTING, DAEMON_ASKED, DAEMON_TALKING } at;
	int fd;
	bool ended;
	millis next_at;    /* when to try to connect (again) */
	millis give_up_at; /* when silence means that it hangs */
	struct http http;
	struct text reason; /* in `why` */
	char why[320];      /* why it cannot be used; after DAEMON_LOST */
};

enum daemon_event {
	DAEMON_NOTHING,
	DAEMON_ANSWER, /* `answer` is filled; its spans are valid until the next call */
	DAEMON_LOST,   /* it cannot be used, see why. DAEMON_AWAY: all ways in are tried again in a
			* second, else the one that is left is tried now */
};

/* By `socket`; unless that is an abstract one (@NAME), by @drainmon, too. */
void daemon_init(struct daemon *daemon, const char *socket);

/* The way in to try now. */
const char *daemon_way(const struct daemon *daemon);

/* Does what can be done now without waiting, at most one answer at a time. */
enum daemon_event daemon_step(struct daemon *daemon, const struct policy *policy, millis now,
			      struct answer *answer);

/* When daemon_step has something to do, even if nothing arrives. */
millis daemon_due(const struct daemon *daemon);

#endif
