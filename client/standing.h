#ifndef DRAINMON_STANDING_H
#define DRAINMON_STANDING_H

#include "row.h"

enum standing {
	STANDING_FINISHED,
	STANDING_UNUSED,      /* a browser's pre-connect */
	STANDING_UNREACHABLE, /* its peer is gone */
	STANDING_IN_FLIGHT,   /* something is lost when the pod goes now */
};

/* How an accepted connection stands; `unreachable_after` 0: no peer is ever taken for gone. */
enum standing standing_of(const struct row *row, millis unreachable_after);

/* Whether it looks as if nothing but a handshake (TLS, PROXY) had come and gone on it. A hint for
 * people: a short request that waits for its answer looks the same. */
bool standing_unrequested(const struct row *row);

/* NULL: a connection in this state can lose nothing. */
const char *standing_state(unsigned state);

#endif
