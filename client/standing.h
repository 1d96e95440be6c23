#ifndef DRAINMON_STANDING_H
#define DRAINMON_STANDING_H

#include "row.h"

enum standing {
	STANDING_FINISHED,
	STANDING_UNUSED,      /* a browser's pre-connect */
	STANDING_UNREACHABLE, /* its peer does not answer */
	STANDING_IN_FLIGHT,   /* data would be lost if the pod ended now */
};

/* The standing of an accepted connection; `unreachable_after` 0: never unreachable. */
enum standing standing_of(const struct row *row, millis unreachable_after);

/* Whether the connection seems to have carried a handshake (TLS, PROXY) only. A hint for people: a
 * short request that waits for its answer looks the same. */
bool standing_unrequested(const struct row *row);

/* The state's name; NULL: a connection in this state can lose nothing. */
const char *standing_state(unsigned state);

#endif
