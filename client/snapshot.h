#ifndef DRAINMON_SNAPSHOT_H
#define DRAINMON_SNAPSHOT_H

#include "ignored.h"
#include "known.h"
#include "mptcp.h"

enum { SNAPSHOT_LEFT = 20, LISTENERS_AT_MOST = 4096 };

/* Which local ports are watched. A port stays when its listener has closed. */
struct ports {
	uint8_t bits[65536 / 8];
	bool any_listener; /* nginx's listeners are unknown: take all */
	unsigned count;
	unsigned listener_count;
	uint64_t listeners[LISTENERS_AT_MOST]; /* socket inodes that nginx holds */
};

/* The connections in flight on those ports at one moment. */
struct snapshot {
	const struct ignored *ignored;
	const struct ignored *nodes; /* peers whose new connections are kubelet's probes */
	const struct mptcp *mptcp;   /* NULL: unknown to the source */
	millis unreachable_after;
	bool listens;         /* nginx has a listener */
	struct known *known;  /* kept between snapshots: ignored connections and those from nodes */
	uint64_t ignored_new; /* passive opens by these that no earlier one has seen */
	struct known *open;   /* the same, for all others */
	millis min_wait;
	uint64_t in_flight;
	uint64_t unreachable;
	uint64_t unused;
	uint64_t unrequested; /* of those in flight: see standing_unrequested */
	uint64_t late;        /* of those in flight: opened when min_wait was over */
	millis late_since;    /* when the oldest of these was, at the earliest */
	uint64_t by_state[TCP_STATES];
	uint64_t arrivals_before; /* `arrivals` before the sockets were read */
	uint64_t arrivals; /* passive opens of the whole netns, which only ever holds a drain longer
			    */
	unsigned seams;    /* interruptions of the reading within a file */
	unsigned left_count;
	struct row left[SNAPSHOT_LEFT];
};

bool ports_has(const struct ports *ports, uint16_t port);

/* Counts one socket. */
void snapshot_row(struct snapshot *snapshot, struct ports *ports, const struct row *row);

/* Counts the complete lines of /proc/net/tcp at the start of `bytes`; returns their length. */
size_t snapshot_take(struct snapshot *snapshot, struct ports *ports, struct span bytes);

#endif
