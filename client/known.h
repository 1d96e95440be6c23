#ifndef DRAINMON_KNOWN_H
#define DRAINMON_KNOWN_H

#include "clock.h"
#include "row.h"

enum { KNOWN_SLOTS = 16384 };

/* Connections that earlier snapshots have seen, by key; those that do not fit are unknown. */
struct known {
	unsigned kept; /* snapshots that a connection may miss before it is forgotten */
	unsigned look; /* number of this snapshot */
	millis began;  /* this snapshot */
	millis before; /* when the one before began: new connections have opened since */
	millis since;  /* when the last recorded connection opened, at the earliest; 0: unknown */
	struct {
		uint64_t connection;
		millis since;
		unsigned look; /* the last one that saw it; 0: the slot was never used */
	} slots[KNOWN_SLOTS];
};

enum known_as { KNOWN_NEW, KNOWN_BEFORE, KNOWN_NOT };

/* A hash of a connection's ends. */
uint64_t known_name(const struct row *row);

/* Before each snapshot. */
void known_look(struct known *known, unsigned kept, millis now);

/* Records a connection of this snapshot, and sets `since`. KNOWN_NOT: there is no room. */
enum known_as known_saw(struct known *known, const struct row *row);

#endif
