#ifndef DRAINMON_MPTCP_H
#define DRAINMON_MPTCP_H

#include "row.h"

enum { MPTCP_SLOTS = 2048 };

/* MPTCP connections that are closing, by the ends of their first subflow, which stays ESTABLISHED
 * until both ends have closed. A connection that does not fit is judged by its subflow. */
struct mptcp {
	unsigned count;
	struct {
		uint64_t connection;
		uint64_t inode;
		unsigned state;
	} slots[MPTCP_SLOTS];
};

void mptcp_clear(struct mptcp *mptcp);

/* Records the state of an MPTCP socket. */
void mptcp_add(struct mptcp *mptcp, const struct row *row);

/* Gives a TCP socket the state and the holder of its MPTCP connection, if any. */
void mptcp_apply(const struct mptcp *mptcp, struct row *row);

#endif
