#ifndef DRAINMON_CARRIED_H
#define DRAINMON_CARRIED_H

#include "snapshot.h"

enum { CARRIED_AT_MOST = 64 };

/* Ports known to the program that counted before, for the next one; they may have no listener. */
struct carried {
	unsigned count;
	uint16_t ports[CARRIED_AT_MOST];
};

void carried_add(struct carried *carried, uint16_t port);
void carried_add_all(struct carried *carried, const struct ports *ports);
void carried_into(const struct carried *carried, struct ports *ports);
/* Watches a port. */
void ports_watch(struct ports *ports, uint16_t port);

/* The field of a request, with a comma before it; nothing when there are none. */
void carried_field(const struct carried *carried, struct text *text);

#endif
