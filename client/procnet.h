#ifndef DRAINMON_PROCNET_H
#define DRAINMON_PROCNET_H

#include "row.h"

/* One socket of /proc/net/tcp or tcp6 (proc_pid_net(5)).
 * False for a header, and for a row that is torn or otherwise not as the kernel writes it. */
bool procnet_row(struct span line, struct row *row);

/* The passive opens of /proc/net/snmp. */
bool procnet_passive_opens(struct span snmp, uint64_t *count);

#endif
