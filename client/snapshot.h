#ifndef DRAINMON_SNAPSHOT_H
#define DRAINMON_SNAPSHOT_H

#include "ignored.h"
#include "known.h"

enum { SNAPSHOT_LEFT = 20, LISTENERS_AT_MOST = 4096 };

/* Which local ports are watched. A port stays when its listener has closed. */
struct ports {
	uint8_t bits[65536 / 8];
	bool any_listener; /* whose listeners are nginx's is not known: all are taken */
	bool fast_open;    /* one of them takes data in the handshake */
	unsigned count;
	unsigned listener_count;
	uint64_t listeners[LISTENERS_AT_MOST]; /* socket inodes that nginx holds */
};

/* What is in flight on those ports at one moment. */
struct snapshot {
	millis taken;
	/* From look to look: connections on which nothing ever came, and ignored ones. */
	struct known *silent, *ignored_known;
	const struct ignored *ignored;
	uint64_t ignored_new; /* passive opens by ignored peers that no earlier look has seen */
	uint64_t sure_rto;    /* see snapshot_sure_rto */
	uint64_t in_flight;
	uint64_t by_state[TCP_STATES];
	uint64_t arrivals_before; /* `arrivals` before the sockets were read */
	uint64_t arrivals; /* passive opens of the whole netns, which only ever holds a drain longer
			    */
	unsigned seams;    /* how often the reading was interrupted within a file */
	unsigned left_count;
	struct row left[SNAPSHOT_LEFT];
};

bool ports_has(const struct ports *ports, uint16_t port);

/* Accounts for the complete lines at the start of `bytes`; returns how many bytes these were. */
size_t snapshot_take(struct snapshot *snapshot, struct ports *ports, struct span bytes);

/* From which retransmission timeout on, in clock ticks, a row no longer tells that nothing was ever
 * received; `jiffy` is in nanoseconds. */
uint64_t snapshot_sure_rto(int64_t jiffy);

/* NULL: a connection in this state can lose nothing. */
const char *snapshot_state(unsigned state);

#endif
