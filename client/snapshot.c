/* Counting what is in flight, row by row. Pure. */
#include "snapshot.h"
#include <string.h>

const char *snapshot_state(unsigned state)
{
	/* FIN_WAIT2 and TIME_WAIT are missing: the peer has acknowledged every byte. CLOSE_WAIT is
	 * here: a client that has closed its half still receives. A connection on which nothing
	 * ever came (a browser's pre-connect) cannot be told from the others in /proc/net/tcp. */
	static const char *const names[TCP_STATES] = {
		[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT1] = "FIN_WAIT1",
		[TCP_CLOSE_WAIT] = "CLOSE_WAIT",   [TCP_LAST_ACK] = "LAST_ACK",
		[TCP_CLOSING] = "CLOSING",
	};
	return state < TCP_STATES ? names[state] : NULL;
}

bool ports_has(const struct ports *ports, uint16_t port)
{
	return ports->bits[port / 8] >> port % 8 & 1;
}

static bool holds(const struct ports *ports, uint64_t inode)
{
	for (unsigned i = 0; i < ports->listener_count; i++)
		if (ports->listeners[i] == inode)
			return true;
	return false;
}

static void take_row(struct snapshot *snapshot, struct ports *ports, const struct row *row)
{
	if (row->state == TCP_LISTEN && !ports_has(ports, row->local.port) &&
	    (ports->any_listener || holds(ports, row->inode))) {
		ports->bits[row->local.port / 8] |= (uint8_t)(1 << row->local.port % 8);
		ports->count++;
	}
	if (!snapshot_state(row->state) || !ports_has(ports, row->local.port))
		return;
	snapshot->in_flight++;
	snapshot->by_state[row->state]++;
	if (snapshot->left_count < SNAPSHOT_LEFT)
		snapshot->left[snapshot->left_count++] = *row;
}

size_t snapshot_take(struct snapshot *snapshot, struct ports *ports, struct span bytes)
{
	size_t taken = 0;
	const char *newline;
	while (taken < bytes.size &&
	       (newline = memchr(bytes.at + taken, '\n', bytes.size - taken)) != NULL) {
		struct span line = {bytes.at + taken, (size_t)(newline - bytes.at) - taken};
		struct row row;
		if (procnet_row(line, &row))
			take_row(snapshot, ports, &row);
		taken += line.size + 1;
	}
	return taken;
}
