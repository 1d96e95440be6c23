/* Counting what is in flight, row by row. Pure. */
#include "snapshot.h"
#include <string.h>

enum {
	NEVER_USED_AFTER = 2000, /* milliseconds, as the daemon has it */
	ATO_MIN = 4,             /* clock ticks: TCP_ATO_MIN of include/net/tcp.h */
};

const char *snapshot_state(unsigned state)
{
	/* FIN_WAIT2 and TIME_WAIT are missing: the peer has acknowledged every byte. CLOSE_WAIT is
	 * here: a client that has closed its half still receives. */
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

uint64_t snapshot_sure_rto(int64_t jiffy)
{
	/* The kernel holds ato, of 8 bits since Linux 6.7, below 3/2 of rto: up to 170 jiffies it
	 * cannot wrap to 0. A clock tick is 10 ms wherever nginx runs. */
	return (uint64_t)jiffy * 170 / 10000000;
}

/* A browser's pre-connect: it has been silent for too long to have a request on its way. A shorter
 * rto than ato's least value may round ato to 0. */
static bool is_never_used(struct snapshot *snapshot, const struct ports *ports,
			  const struct row *row)
{
	millis since;
	return row->silent && row->rto >= ATO_MIN && row->rto < snapshot->sure_rto &&
	       !ports->fast_open &&
	       known_saw(snapshot->silent, row, snapshot->taken, &since) == KNOWN_BEFORE &&
	       snapshot->taken - since > NEVER_USED_AFTER;
}

static bool is_ignored(struct snapshot *snapshot, const struct ports *ports, const struct row *row)
{
	millis since;
	if (!ignored_port(snapshot->ignored, row->local.port) &&
	    !(ports_has(ports, row->local.port) && ignored_peer(snapshot->ignored, &row->remote)))
		return false;
	if (row->state != TCP_LISTEN && row->state != TCP_SYN_RECV &&
	    known_saw(snapshot->ignored_known, row, snapshot->taken, &since) == KNOWN_NEW)
		snapshot->ignored_new++;
	return true;
}

static void take_row(struct snapshot *snapshot, struct ports *ports, const struct row *row)
{
	if (row->state == TCP_LISTEN && !ports_has(ports, row->local.port) &&
	    (ports->any_listener || holds(ports, row->inode))) {
		if (!ignored_port(snapshot->ignored, row->local.port))
			ports->bits[row->local.port / 8] |= (uint8_t)(1 << row->local.port % 8);
		ports->count++;
	}
	if (row->fast_open && ports_has(ports, row->local.port))
		ports->fast_open = true;
	if (is_ignored(snapshot, ports, row) || !snapshot_state(row->state) ||
	    !ports_has(ports, row->local.port) || is_never_used(snapshot, ports, row))
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
