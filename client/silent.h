#ifndef DRAINMON_SILENT_H
#define DRAINMON_SILENT_H

#include "procnet.h"

enum { SILENT_SLOTS = 16384 };

/* Since when each connection is known on which nothing ever came: a browser's pre-connect, which no
 * signal would make nginx close. More than fit are not known, and so in flight. */
struct silent {
	unsigned look; /* number of this look; a slot that the last one has not seen is free */
	struct {
		uint64_t connection;
		millis since;
		unsigned look;
	} slots[SILENT_SLOTS];
};

/* Before each look at the sockets. */
void silent_look(struct silent *silent);

/* For how long a connection has been silent at every look; 0: it is new, or there is no room. */
millis silent_for(struct silent *silent, const struct row *row, millis now);

#endif
