#ifndef DRAINMON_PROCNET_H
#define DRAINMON_PROCNET_H

#include "row.h"

/* One socket of /proc/net/tcp or tcp6 (proc_pid_net(5)). False for a header and a malformed row. */
bool procnet_row(struct span line, struct row *row);

/* A counter of /proc/net/snmp, of the protocol "Tcp: ". */
bool procnet_counter(struct span snmp, const char *protocol, const char *counter, uint64_t *count);

/* The number behind a name that begins a line: of /proc/net/snmp6, /proc/<pid>/status and a
 * cgroup's memory.stat. */
bool procnet_value(struct span lines, const char *name, uint64_t *value);

/* The next whole line, and the text behind it. */
bool procnet_line(struct span *text, struct span *line);

#endif
