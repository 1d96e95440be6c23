#ifndef DRAINMON_TABLES_H
#define DRAINMON_TABLES_H

#include "text.h"

/* The tables of this netns's sockets under /proc/self/net. */

/* A word of a line, counted from 0; false: the line has fewer. */
bool table_word(struct span line, unsigned index, struct span *word);
/* The inode in such a word, where the line is no header; 0: there is none. */
uint64_t table_inode(struct span line, unsigned index);
/* A line of `unix`: whether it listens, and the path, which may be empty. */
bool table_unix_listens(struct span line, struct span *path);
/* Whether a line of `unix` is an accepted connection, which has its listener's path. */
bool table_unix_accepted(struct span line, struct span *path);

/* "32768\t60999": the ephemeral ports. */
struct port_range {
	unsigned first, last;
};
struct port_range table_port_range(struct span content);

/* Passes the lines of a table to `line` until it returns false; false: the table was not read to
 * its end. A table that the kernel lacks is empty. */
bool table_walk(const char *name, bool (*line)(void *context, struct span line), void *context,
		millis stop_at);

#endif
