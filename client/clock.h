#ifndef DRAINMON_CLOCK_H
#define DRAINMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds; a moment is counted from the start of this program. */
typedef int64_t millis;

void clock_begin(void);
millis clock_now(void);

/* The CPU time of this program, in nanoseconds. */
int64_t clock_used(void);

#endif
