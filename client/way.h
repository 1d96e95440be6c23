#ifndef DRAINMON_WAY_H
#define DRAINMON_WAY_H

#include <stdbool.h>

/* A unix socket by its path, or as @NAME by its abstract name in this netns. */

/* Whether it fits the address of a socket. */
bool way_fits(const char *way);

/* A socket connected to it that does not block, or -1 and errno; it must fit. */
int way_connect(const char *way);

#endif
