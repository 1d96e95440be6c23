#ifndef DRAINMON_IGNORED_H
#define DRAINMON_IGNORED_H

#include "address.h"

enum { IGNORED_AT_MOST = 16 };

/* Connections that the drain ignores, by peer address or local port. */
struct ignored {
	unsigned peer_count, port_count;
	struct {
		struct span text;
		uint8_t bytes[16]; /* IPv4 mapped */
		unsigned bits;
	} peers[IGNORED_AT_MOST];
	uint16_t ports[IGNORED_AT_MOST];
};

/* Add the items of a list with commas, which must stay in memory. Return NULL, or an error. */
const char *ignored_add_peers(struct ignored *ignored, const char *list);
const char *ignored_add_ports(struct ignored *ignored, const char *list);

/* Add one peer by its text, which must stay in memory, or by its address. Return NULL, or an error.
 */
const char *ignored_add_peer(struct ignored *ignored, struct span text);
const char *ignored_add_address(struct ignored *ignored, const struct address *address);

/* Calls `add` for each item of a list with commas, until it returns an error. */
const char *ignored_each(void *to, const char *list, const char *(*add)(void *to, struct span));

bool ignored_port(const struct ignored *ignored, uint16_t port);
bool ignored_peer(const struct ignored *ignored, const struct address *remote);

/* The fields of a request, with a comma before each; nothing when nothing is ignored. */
void ignored_fields(const struct ignored *ignored, struct text *text);

#endif
