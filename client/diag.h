#ifndef DRAINMON_DIAG_H
#define DRAINMON_DIAG_H

#include "row.h"

/* A dump of sockets by NETLINK_SOCK_DIAG (sock_diag(7)): its request, and its messages. */
struct diag_request {
	_Alignas(4) uint8_t bytes[80];
	size_t size;
};

enum diag_protocol { DIAG_TCP, DIAG_MPTCP };

/* Of the sockets of a family in one of the states, a bit each; of TCP's with INET_DIAG_INFO. */
void diag_request(struct diag_request *request, int family, enum diag_protocol protocol,
		  uint32_t states);

enum diag_got {
	DIAG_NOTHING, /* there is no further message */
	DIAG_ROW,
	DIAG_OTHER, /* a message that says nothing about a socket */
	DIAG_DONE,
	DIAG_REFUSED, /* `error` says why */
	DIAG_GARBAGE,
};

struct diag_message {
	struct row row;
	int error;
	bool interrupted; /* the kernel reports that the dump may have skipped a socket */
};

/* Takes the next message off what one receive has brought. */
enum diag_got diag_next(struct span *bytes, struct diag_message *message);

#endif
