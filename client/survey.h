#ifndef DRAINMON_SURVEY_H
#define DRAINMON_SURVEY_H

#include "carried.h"
#include "holders.h"
#include "tables.h"

/* The sockets of nginx's processes, besides the listeners that a snapshot finds. */
struct survey {
	bool known;          /* ports->listeners has all that the masters hold */
	bool listens;        /* something listens */
	bool inherited;      /* a master holds a listener of another netns */
	uint64_t elsewhere;  /* connections of that other netns */
	char uncounted[160]; /* as in struct progress, but for UDP */
	struct carried udp;  /* ports of UDP that a master listens on */
	bool reuseport;      /* each worker has a TCP listener of its own */
};

/* Fills in the survey and the listeners of `ports`, and adds ports on which nginx has connections
 * but no listener any more. False: the time to stop has come. */
bool survey_take(struct survey *survey, const struct processes *processes, struct ports *ports,
		 millis stop_at);

/* Local ports of connections, by how many there are (at most 255). */
struct held_ports {
	uint8_t counts[65536];
};

/* Adds the ports on which nginx must have listened: those that are not ephemeral, and those of
 * several connections; with `any` all, when there are none of these. Pure. */
void survey_choose(const struct held_ports *held, struct port_range range, bool any,
		   struct ports *ports);

#endif
