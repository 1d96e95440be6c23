#ifndef DRAINMON_CLOCK_H
#define DRAINMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds; a moment is counted from the start of this program. */
typedef int64_t millis;

void clock_begin(void);
millis clock_now(void);

/* Nanoseconds of processor time that this program has used. */
int64_t clock_used(void);

#endif
