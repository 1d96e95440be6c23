#ifndef DRAINMON_LOOK_H
#define DRAINMON_LOOK_H

#include "files.h"
#include "settle.h"

/* Counts what is in flight on the ports now, in the netns of this process. */
enum look look_at_sockets(struct snapshot *snapshot, struct ports *ports,
			  const struct policy *policy, struct text *why);

/* UDP datagrams that this netns has received and sent; false: unknown. */
bool look_at_datagrams(uint64_t *in, uint64_t *out);

/* How the last snapshot was read: by sock_diag or, once that was refused, from /proc/self/net. */
const char *look_source(void);

#endif
