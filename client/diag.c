/* The messages of NETLINK_SOCK_DIAG: pure, nothing is sent or received here. The kernel's headers
 * are not musl's, so the few numbers of them are here. */
#include "diag.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	/* linux/netlink.h */
	NLMSG_ERROR = 2,
	NLMSG_DONE = 3,
	NLM_F_REQUEST = 1,
	NLM_F_DUMP_INTR = 0x10,
	NLM_F_DUMP = 0x300,
	/* linux/sock_diag.h, linux/inet_diag.h */
	SOCK_DIAG_BY_FAMILY = 20,
	INET_DIAG_REQ_PROTOCOL = 3,
	INET_DIAG_INFO = 2,
	PROTO_TCP = 6,
	PROTO_MPTCP = 262,
	/* Unassigned: kernels that do not know INET_DIAG_REQ_PROTOCOL refuse the request. */
	PROTO_UNASSIGNED = 254,
};

struct header {
	uint32_t size;
	uint16_t type, flags;
	uint32_t sequence, port;
};

struct attribute {
	uint16_t size, type;
};

struct ends {
	uint8_t local_port[2], remote_port[2]; /* network order, as the addresses */
	uint8_t local[16], remote[16];
	uint32_t interface, cookie[2];
};

struct message {
	struct header header;
	uint8_t family, protocol, extensions, pad;
	uint32_t states;
	struct ends ends;
	struct attribute attribute; /* for MPTCP only */
	uint32_t long_protocol;
};

struct socket_answer {
	uint8_t family, state, timer, retransmits;
	struct ends ends;
	uint32_t expires, unread, unsent, user, inode;
};

/* The beginning of struct tcp_info, up to what Linux 4.6 has; times in milliseconds, rto in
 * microseconds. */
struct tcp_info_answer {
	uint8_t state, congestion, retransmits, probes, backoff, options, scale, flags;
	uint32_t rto, unused[8], idle_out, idle_ack_sent, idle_in, idle_ack;
	uint32_t unused_too[15];
	uint64_t bytes_acked, bytes_received;
	uint32_t unused_either[5], data_segments_out;
};

/* Linux 4.19 has it, there. */
enum { BYTES_SENT_AT = 200 };

_Static_assert(sizeof(struct message) == sizeof(((struct diag_request *)0)->bytes),
	       "as in the kernel");
_Static_assert(sizeof(struct socket_answer) == 72, "as in the kernel");
_Static_assert(sizeof(struct tcp_info_answer) == 160, "as in the kernel");

void diag_request(struct diag_request *request, int family, enum diag_protocol protocol,
		  uint32_t states)
{
	struct message message = {
		.header = {.type = SOCK_DIAG_BY_FAMILY, .flags = NLM_F_REQUEST | NLM_F_DUMP},
		.family = (uint8_t)family,
		.protocol = protocol == DIAG_MPTCP ? PROTO_UNASSIGNED : PROTO_TCP,
		.extensions = protocol == DIAG_MPTCP ? 0 : 1 << (INET_DIAG_INFO - 1),
		.states = states,
		.attribute = {sizeof(message.attribute) + sizeof(message.long_protocol),
			      INET_DIAG_REQ_PROTOCOL},
		.long_protocol = PROTO_MPTCP,
	};
	request->size =
		protocol == DIAG_MPTCP ? sizeof(message) : offsetof(struct message, attribute);
	message.header.size = (uint32_t)request->size;
	memcpy(request->bytes, &message, sizeof(message));
}

static void take_ends(const struct socket_answer *answer, struct row *row)
{
	const struct ends *ends = &answer->ends;
	bool v6 = answer->family == AF_INET6;
	row->local.v6 = row->remote.v6 = v6;
	memcpy(row->local.bytes, ends->local, v6 ? 16 : 4);
	memcpy(row->remote.bytes, ends->remote, v6 ? 16 : 4);
	row->local.port = (uint16_t)(ends->local_port[0] << 8 | ends->local_port[1]);
	row->remote.port = (uint16_t)(ends->remote_port[0] << 8 | ends->remote_port[1]);
}

static void take_info(struct span info, struct row *row)
{
	struct tcp_info_answer answer;
	if (info.size < sizeof(answer))
		return;
	memcpy(&answer, info.at, sizeof(answer));
	row->counted = true;
	row->retransmits = answer.retransmits;
	row->probes_out = answer.probes;
	row->rto = answer.rto / 1000;
	row->idle_in = answer.idle_in;
	row->idle_out = answer.idle_out;
	row->idle_ack = answer.idle_ack;
	row->bytes_received = answer.bytes_received;
	row->bytes_sent = answer.data_segments_out; /* stands in on older kernels */
	if (info.size >= BYTES_SENT_AT + sizeof(row->bytes_sent))
		memcpy(&row->bytes_sent, info.at + BYTES_SENT_AT, sizeof(row->bytes_sent));
}

/* Messages and attributes begin at multiples of four; the last one need not be filled up. */
static void skip(struct span *bytes, size_t size)
{
	size_t whole = (size + 3) & ~(size_t)3;
	if (whole > bytes->size)
		whole = bytes->size;
	bytes->at += whole;
	bytes->size -= whole;
}

static bool take_socket(struct span payload, struct row *row)
{
	struct socket_answer answer;
	struct attribute attribute;
	memset(row, 0, sizeof(*row));
	if (payload.size < sizeof(answer))
		return false;
	memcpy(&answer, payload.at, sizeof(answer));
	if (answer.family != AF_INET && answer.family != AF_INET6)
		return false;
	take_ends(&answer, row);
	row->state = answer.state;
	row->inode = answer.inode;
	row->unread = answer.unread;
	row->unsent = answer.unsent;
	skip(&payload, sizeof(answer));
	while (payload.size >= sizeof(attribute)) {
		memcpy(&attribute, payload.at, sizeof(attribute));
		if (attribute.size < sizeof(attribute) || attribute.size > payload.size)
			return false;
		if (attribute.type == INET_DIAG_INFO)
			take_info((struct span){payload.at + sizeof(attribute),
						attribute.size - sizeof(attribute)},
				  row);
		skip(&payload, attribute.size);
	}
	return true;
}

enum diag_got diag_next(struct span *bytes, struct diag_message *message)
{
	struct header header;
	if (bytes->size == 0)
		return DIAG_NOTHING;
	if (bytes->size < sizeof(header))
		return DIAG_GARBAGE;
	memcpy(&header, bytes->at, sizeof(header));
	if (header.size < sizeof(header) || header.size > bytes->size)
		return DIAG_GARBAGE;
	struct span payload = {bytes->at + sizeof(header), header.size - sizeof(header)};
	skip(bytes, header.size);
	message->interrupted = header.flags & NLM_F_DUMP_INTR;
	message->error = 0;
	if (header.type == NLMSG_DONE || header.type == NLMSG_ERROR) {
		if (payload.size >= sizeof(message->error))
			memcpy(&message->error, payload.at, sizeof(message->error));
		if (message->error == 0)
			return header.type == NLMSG_DONE ? DIAG_DONE : DIAG_OTHER;
		message->error = message->error == INT_MIN ? EPROTO : abs(message->error);
		return DIAG_REFUSED;
	}
	if (header.type != SOCK_DIAG_BY_FAMILY)
		return DIAG_OTHER;
	return take_socket(payload, &message->row) ? DIAG_ROW : DIAG_GARBAGE;
}
