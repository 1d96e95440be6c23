#ifndef DRAINMON_VANISHED_H
#define DRAINMON_VANISHED_H

#include "clock.h"
#include <stdbool.h>

/* Whether UDP clients have vanished, by the datagrams of the netns from snapshot to snapshot.
 * Zeroed = no snapshot yet. */
struct vanished {
	bool seen;
	uint64_t in, out;
	millis since;      /* when the last datagram arrived */
	millis unanswered; /* when the next one was sent after that; 0: none was */
};

/* Adds a snapshot. A QUIC client acknowledges datagrams (`answers`): while nothing is sent, or just
 * was, it only waits. `limit` 0: never. */
bool vanished_look(struct vanished *vanished, millis now, uint64_t in, uint64_t out, bool answers,
		   millis limit);

#endif
