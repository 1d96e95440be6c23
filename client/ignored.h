#ifndef DRAINMON_IGNORED_H
#define DRAINMON_IGNORED_H

#include "address.h"

enum { IGNORED_AT_MOST = 16 };

/* Connections that do not hold the drain: by the address of their other end, or the local port. */
struct ignored {
	unsigned peer_count, port_count;
	struct {
		struct span text;
		uint8_t bytes[16]; /* IPv4 mapped */
		unsigned bits;
	} peers[IGNORED_AT_MOST];
	uint16_t ports[IGNORED_AT_MOST];
};

/* Add what is between the commas of a list, which must stay; NULL, or what is wrong with it. */
const char *ignored_add_peers(struct ignored *ignored, const char *list);
const char *ignored_add_ports(struct ignored *ignored, const char *list);

/* Add one peer: its text, which must stay, or its address; NULL, or what is wrong. */
const char *ignored_add_peer(struct ignored *ignored, struct span text);
const char *ignored_add_address(struct ignored *ignored, const struct address *address);

/* Calls `add` with what is between the commas of a list, until it finds something wrong. */
const char *ignored_each(void *to, const char *list, const char *(*add)(void *to, struct span));

bool ignored_port(const struct ignored *ignored, uint16_t port);
bool ignored_peer(const struct ignored *ignored, const struct address *remote);

/* The fields of a request, with a comma before each; nothing when nothing is ignored. */
void ignored_fields(const struct ignored *ignored, struct text *text);

#endif
