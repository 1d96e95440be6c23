#ifndef DRAINMON_FALLBACK_ROLL_H
#define DRAINMON_FALLBACK_ROLL_H

#include "fallback.h"

/* Begins the roll that settle_step has decided. */
void fallback_begin_roll(struct fallback *fallback, struct report *report, millis now);
/* While `rolling`. */
void fallback_go_on_rolling(struct fallback *fallback, struct report *report, millis now);

/* The number of workers that may still serve UDP clients; 0 when the drain does not wait for these,
 * or they have vanished. */
uint64_t fallback_udp_workers(struct fallback *fallback, millis now);

#endif
