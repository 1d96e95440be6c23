#ifndef DRAINMON_NAMESPACE_H
#define DRAINMON_NAMESPACE_H

#include "text.h"
#include <sys/types.h>

/* The number in the target of a link such as /proc/17/ns/net, "net:[4026531833]"; 0: not one to
 * compare namespaces by. */
uint64_t namespace_number(struct span link);

/* Whether a process is known to be in another namespace; `name` is "ns/net" or "ns/mnt". */
bool namespace_is_other(pid_t pid, const char *name);

/* Whether all processes of the host are visible, and this one is in its network namespace. */
bool namespaces_are_hosts(void);

#endif
