#ifndef DRAINMON_ROOM_H
#define DRAINMON_ROOM_H

#include "processes.h"

/* Whether a second configuration of a master and its workers fits into the memory limits of its
 * cgroup and the visible ones around it. False: `why` has the numbers. */
bool room_for_reload(const struct processes *processes, pid_t master, struct text *why);

/* The path of a cgroup in the text of /proc/<pid>/cgroup, by the memory controller of v1 or by v2
 * (cgroups(7)); false: there is none. */
bool room_cgroup(struct span text, bool v2, struct span *path);

#endif
