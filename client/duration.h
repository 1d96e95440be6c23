#ifndef DRAINMON_DURATION_H
#define DRAINMON_DURATION_H

#include "clock.h"
#include <stdbool.h>

/* 25s, 1.5s, 500ms, 2m, or a plain number of seconds; at most 24 days, as poll(2) counts. */
bool duration_read(const char *text, millis *time);

#endif
