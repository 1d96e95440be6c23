#ifndef DRAINMON_DAEMON_H
#define DRAINMON_DAEMON_H

#include "answer.h"
#include "http.h"
#include "settle.h"

/* One conversation with the daemon over its unix socket; never blocks. Zeroed = not begun. */
struct daemon {
	const char *socket;
	enum { DAEMON_AWAY, DAEMON_CONNECTING, DAEMON_ASKED, DAEMON_TALKING } at;
	int fd;
	bool ended;
	millis next_at;    /* when to try to connect (again) */
	millis give_up_at; /* when silence means that it hangs */
	struct http http;
	char why[256]; /* why it cannot be used; after DAEMON_LOST */
};

enum daemon_event {
	DAEMON_NOTHING,
	DAEMON_ANSWER, /* `answer` is filled; its spans are valid until the next call */
	DAEMON_LOST,   /* it cannot be used, see why; it is tried again in a second */
};

void daemon_init(struct daemon *daemon, const char *socket);

/* Does what can be done now without waiting, at most one answer at a time. */
enum daemon_event daemon_step(struct daemon *daemon, const struct policy *policy, millis now,
			      struct answer *answer);

/* When daemon_step has something to do, even if nothing arrives. */
millis daemon_due(const struct daemon *daemon);

#endif
