#ifndef DRAINMON_TABLES_H
#define DRAINMON_TABLES_H

#include "text.h"

/* The tables of sockets under /proc/self/net, which are this netns's. */

/* A word of a line, counted from 0; false: the line has fewer. */
bool table_word(struct span line, unsigned index, struct span *word);
/* The inode in such a word, where the line is no header; 0: there is none. */
uint64_t table_inode(struct span line, unsigned index);
/* A line of `unix`: whether it listens, and the path, which may be empty. */
bool table_unix_listens(struct span line, struct span *path);
/* Whether it is a connection that a listener has accepted: these have its path. */
bool table_unix_accepted(struct span line, struct span *path);

/* "32768\t60999": which local ports outgoing connections are given. */
struct port_range {
	unsigned first, last;
};
struct port_range table_port_range(struct span content);

/* Hands over the lines of a table until `line` returns false; false: it was not read to its end. A
 * kernel that has no such table has an empty one. */
bool table_walk(const char *name, bool (*line)(void *context, struct span line), void *context,
		millis stop_at);

#endif
