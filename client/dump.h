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
	unsigned seams; /* how often the kernel may have lost its place */
};

/* Asks the kernel for sockets of the netns of this process, both families, without waiting and in
 * a stream: 100,000 take no more memory than one. */
enum dump dump_sockets(enum diag_protocol protocol, uint32_t states, millis stop_at,
		       struct dump_taker *taker);

#endif
