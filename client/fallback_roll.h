#ifndef DRAINMON_FALLBACK_ROLL_H
#define DRAINMON_FALLBACK_ROLL_H

#include "fallback.h"

/* Does what settle_step asked for. */
void fallback_begin_roll(struct fallback *fallback, struct report *report, millis now);
/* While `rolling`. */
void fallback_go_on_rolling(struct fallback *fallback, struct report *report, millis now);

/* Only the workers tell of UDP clients: how many may still serve such. 0 when these are not waited
 * for, or have vanished. */
uint64_t fallback_udp_workers(struct fallback *fallback, millis now);

#endif
