/* Counts connections in flight, row by row. Pure. */
#include "snapshot.h"
#include "procnet.h"
#include "standing.h"
#include <string.h>

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

static void note_listener(struct snapshot *snapshot, struct ports *ports, const struct row *row)
{
	if (!ports->any_listener && !holds(ports, row->inode))
		return;
	snapshot->listens = true;
	if (ports_has(ports, row->local.port))
		return;
	if (!ignored_port(snapshot->ignored, row->local.port))
		ports->bits[row->local.port / 8] |= (uint8_t)(1 << row->local.port % 8);
	ports->count++;
}

static void note_arrival(struct snapshot *snapshot, const struct row *row)
{
	if (row->state != TCP_SYN_RECV && known_saw(snapshot->known, row) == KNOWN_NEW)
		snapshot->ignored_new++;
}

static void note_in_flight(struct snapshot *snapshot, const struct row *row)
{
	snapshot->in_flight++;
	snapshot->by_state[row->state]++;
	snapshot->unrequested += standing_unrequested(row);
	millis since = snapshot->open->since;
	if (since > snapshot->min_wait) {
		if (!snapshot->late++ || since < snapshot->late_since)
			snapshot->late_since = since;
	}
	if (snapshot->left_count < SNAPSHOT_LEFT)
		snapshot->left[snapshot->left_count++] = *row;
}

static void note_standing(struct snapshot *snapshot, const struct row *row)
{
	switch (standing_of(row, snapshot->unreachable_after)) {
	case STANDING_FINISHED:
		break;
	case STANDING_UNUSED:
		snapshot->unused++;
		break;
	case STANDING_UNREACHABLE:
		snapshot->unreachable++;
		break;
	case STANDING_IN_FLIGHT:
		note_in_flight(snapshot, row);
	}
}

void snapshot_row(struct snapshot *snapshot, struct ports *ports, const struct row *row)
{
	if (row->state == TCP_LISTEN) {
		note_listener(snapshot, ports, row);
		return;
	}
	bool port_is_ignored = ignored_port(snapshot->ignored, row->local.port);
	if (!port_is_ignored && !ports_has(ports, row->local.port))
		return;
	bool ignored = port_is_ignored || ignored_peer(snapshot->ignored, &row->remote);
	/* A client behind its node has the address of a probe, so the drain waits for open
	 * connections of both. */
	if (ignored || ignored_peer(snapshot->nodes, &row->remote))
		note_arrival(snapshot, row);
	if (ignored)
		return;
	struct row judged = *row;
	if (snapshot->mptcp)
		mptcp_apply(snapshot->mptcp, &judged);
	known_saw(snapshot->open, &judged);
	note_standing(snapshot, &judged);
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
			snapshot_row(snapshot, ports, &row);
		taken += line.size + 1;
	}
	return taken;
}
