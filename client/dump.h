#ifndef DRAINMON_DUMP_H
#define DRAINMON_DUMP_H

#include "diag.h"

enum dump {
	DUMP_DONE,
	DUMP_LATE,   /* given up, because the time to stop has come */
	DUMP_FAILED, /* errno says why */
};

/* Receives each socket of a dump. */
struct dump_taker {
	void (*take)(void *to, const struct row *row);
	void *to;
	unsigned seams; /* places at which the kernel may have skipped a socket */
};

/* Lists sockets of this process's netns, of both families, without blocking and in a stream:
 * 100,000 take no more memory than one. */
enum dump dump_sockets(enum diag_protocol protocol, uint32_t states, millis stop_at,
		       struct dump_taker *taker);

#endif
