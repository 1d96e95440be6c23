#ifndef DRAINMON_ANSWER_H
#define DRAINMON_ANSWER_H

#include "carried.h"
#include "progress.h"

enum { LEFT_AT_MOST = 20 };

/* One line of the daemon's answer to POST /v1/self/drain. */
struct answer {
	struct progress progress;
	enum {
		RESULT_NONE,
		RESULT_DRAINED,
		RESULT_DEADLINE,
		RESULT_GONE,
		RESULT_CUT,
		RESULT_STUCK
	} result;
	struct span remaining; /* a JSON array, or empty */
	uint64_t rolls;        /* how often it has rolled nginx, and when last */
	millis rolled;
	struct carried ports; /* that it knows of */
};

/* False: the line is no such answer, and its sender no drainmon daemon. */
bool answer_read(struct span line, struct answer *answer);

/* Walks the first LEFT_AT_MOST connections of `remaining`, each described for a reader. */
bool answer_next_left(struct span remaining, size_t *cursor, struct text *description);

/* What the body of an error says; the bare status when it says nothing. */
void answer_error(struct span body, unsigned status, struct text *why);

#endif
