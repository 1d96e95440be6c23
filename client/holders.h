#ifndef DRAINMON_HOLDERS_H
#define DRAINMON_HOLDERS_H

#include "processes.h"

enum { HOLDERS_SLOTS = 1 << 15, HOLDERS_FULL = HOLDERS_SLOTS / 4 * 3 };

enum {
	HELD_BY_MASTER = 1,
	HELD_BY_WORKER = 2,   /* any */
	HELD_BY_QUITTING = 4, /* a worker that quits */
	HELD_AS_STDIO = 8,    /* by a container's runtime: no listener of nginx */
	HELD_HERE = 16,       /* in a table of this netns */
};

/* Sockets by inode: which of nginx's processes hold them. */
struct holders {
	bool unread;   /* a process's descriptors cannot be read */
	unsigned lost; /* sockets that did not fit */
	unsigned count;
	uint64_t inodes[HOLDERS_SLOTS];
	uint8_t held[HOLDERS_SLOTS];
};

/* Adds what the processes hold that are `whose` (bits of the first three above). */
void holders_read(struct holders *holders, const struct processes *processes, uint8_t whose,
		  millis stop_at);
/* Who holds a socket, to add to; NULL: nobody. */
uint8_t *holders_of(struct holders *holders, uint64_t inode);
/* Notes a holder; what does not fit is counted as lost. */
void holders_add(struct holders *holders, uint64_t inode, uint8_t held);

#endif
