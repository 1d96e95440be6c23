#ifndef DRAINMON_HOLDERS_H
#define DRAINMON_HOLDERS_H

#include "processes.h"

enum { HOLDERS_SLOTS = 1 << 15, HOLDERS_FULL = HOLDERS_SLOTS / 4 * 3 };

enum {
	HELD_BY_MASTER = 1,
	HELD_BY_WORKER = 2,   /* any */
	HELD_BY_QUITTING = 4, /* a quitting worker */
	HELD_AS_STDIO = 8,    /* made by a container's runtime: not a listener of nginx's */
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

/* Adds the sockets of processes in `held_by`, bits of the first three above. */
void holders_read(struct holders *holders, const struct processes *processes, uint8_t held_by,
		  millis stop_at);
/* The holders of a socket, to add to; NULL: none. */
uint8_t *holders_of(struct holders *holders, uint64_t inode);
/* Inserts a holder; counts as lost when there is no room. */
void holders_add(struct holders *holders, uint64_t inode, uint8_t held);

#endif
