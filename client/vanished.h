#ifndef DRAINMON_VANISHED_H
#define DRAINMON_VANISHED_H

#include "clock.h"
#include <stdbool.h>

/* Whether UDP clients have vanished, by the datagrams of the netns from look to look. Zeroed =
 * nothing was seen. */
struct vanished {
	bool seen;
	uint64_t in, out;
	millis since;      /* the last one came in */
	millis unanswered; /* what was sent later; 0: nothing was */
};

/* One look. A QUIC client acknowledges what it is sent (`answers`): with nothing sent either, or
 * just now, it only waits. `limit` 0: never. */
bool vanished_look(struct vanished *vanished, millis now, uint64_t in, uint64_t out, bool answers,
		   millis limit);

#endif
