/* The standing of a connection, by the rules of drainmon/model/standing.py, which explains them.
 * Pure. */
#include "standing.h"

/* Milliseconds and bytes. */
enum {
	UNUSED_AFTER = 2000,
	LINGERING = 5000,
	FIN_UNANSWERED = 3000,
	HANDSHAKE_IN = 4096,
	HANDSHAKE_OUT = 16384,
	HANDSHAKE_SPREAD = 1000,
};

const char *standing_state(unsigned state)
{
	/* In CLOSE_WAIT a client that has closed its half still receives. */
	static const char *const names[TCP_STATES] = {
		[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_FIN_WAIT1] = "FIN_WAIT1",
		[TCP_FIN_WAIT2] = "FIN_WAIT2",     [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
		[TCP_LAST_ACK] = "LAST_ACK",       [TCP_CLOSING] = "CLOSING",
	};
	return state < TCP_STATES ? names[state] : NULL;
}

/* nginx has answered early and keeps reading, so that its client can finish its upload. */
static bool lingers(const struct row *row)
{
	return row->inode && (!row->counted || row->idle_in < LINGERING);
}

/* The connection has been silent for too long to have a request on its way. */
static bool is_unused(const struct row *row)
{
	return row->state == TCP_ESTABLISHED && row->counted && !row->bytes_received &&
	       !row->bytes_sent && !row->unsent && !row->unread && row->idle_in > UNUSED_AFTER;
}

static bool only_fin_is_left(const struct row *row)
{
	return row->unsent == 1 && (row->state == TCP_FIN_WAIT1 || row->state == TCP_CLOSING ||
				    row->state == TCP_LAST_ACK);
}

/* Whether the kernel has retransmitted in vain for `limit`. By the time since the last
 * acknowledgement alone, an idle peer would be unreachable at the first lost packet. */
static bool is_unanswered(const struct row *row, millis limit)
{
	enum { DOUBLED_AT_MOST = 20 };
	unsigned count = row->probes_out ? row->probes_out : row->retransmits;
	if (count > DOUBLED_AT_MOST)
		count = DOUBLED_AT_MOST;
	millis doubled = (millis)1 << count;
	if (row->counted && row->idle_ack < limit)
		return false;
	if (row->probes_out) /* each probe waits twice as long, which does not change rto */
		return row->rto * (doubled - 2) >= limit;
	/* rto is the last of the timeouts, each twice the one before. */
	return row->rto * (doubled - 1) >= limit * doubled;
}

static bool is_unreachable(const struct row *row, millis limit)
{
	if (!row->unsent || !limit)
		return false;
	return is_unanswered(row, only_fin_is_left(row) && limit > FIN_UNANSWERED ? FIN_UNANSWERED
										  : limit);
}

enum standing standing_of(const struct row *row, millis unreachable_after)
{
	if (!standing_state(row->state))
		return STANDING_FINISHED;
	if (row->state == TCP_FIN_WAIT2)
		return lingers(row) ? STANDING_IN_FLIGHT : STANDING_FINISHED;
	if (is_unused(row))
		return STANDING_UNUSED;
	if (is_unreachable(row, unreachable_after))
		return STANDING_UNREACHABLE;
	return STANDING_IN_FLIGHT;
}

bool standing_unrequested(const struct row *row)
{
	millis spread = row->idle_in - row->idle_out;
	return row->state == TCP_ESTABLISHED && row->counted && row->bytes_received &&
	       row->bytes_received <= HANDSHAKE_IN && row->bytes_sent <= HANDSHAKE_OUT &&
	       !row->unsent && row->idle_in > UNUSED_AFTER && row->idle_out > UNUSED_AFTER &&
	       spread <= HANDSHAKE_SPREAD && spread >= -HANDSHAKE_SPREAD;
}
