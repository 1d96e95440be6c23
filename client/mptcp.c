/* The states of MPTCP connections. Pure. */
#include "mptcp.h"
#include "known.h"
#include <string.h>

enum { PROBES = 16 };

void mptcp_clear(struct mptcp *mptcp)
{
	if (mptcp->count)
		memset(mptcp, 0, sizeof(*mptcp));
}

void mptcp_add(struct mptcp *mptcp, const struct row *row)
{
	/* An established connection is judged by its subflow. */
	if (row->state == TCP_ESTABLISHED || row->state == TCP_LISTEN || !row->state)
		return;
	uint64_t connection = known_name(row);
	for (unsigned i = 0; i < PROBES; i++) {
		unsigned slot = (unsigned)(connection + i) % MPTCP_SLOTS;
		if (mptcp->slots[slot].state)
			continue;
		mptcp->slots[slot].connection = connection;
		mptcp->slots[slot].inode = row->inode;
		mptcp->slots[slot].state = row->state;
		mptcp->count++;
		return;
	}
}

void mptcp_apply(const struct mptcp *mptcp, struct row *row)
{
	if (!mptcp->count || row->state == TCP_LISTEN || row->state == TCP_TIME_WAIT)
		return;
	uint64_t connection = known_name(row);
	for (unsigned i = 0; i < PROBES; i++) {
		unsigned slot = (unsigned)(connection + i) % MPTCP_SLOTS;
		if (!mptcp->slots[slot].state)
			return;
		if (mptcp->slots[slot].connection == connection) {
			row->state = mptcp->slots[slot].state;
			row->inode = mptcp->slots[slot].inode;
			return;
		}
	}
}
