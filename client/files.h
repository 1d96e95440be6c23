#ifndef DRAINMON_FILES_H
#define DRAINMON_FILES_H

#include "snapshot.h"

enum look {
	LOOK_DONE,
	LOOK_LATE,   /* given up, because the time to stop has come */
	LOOK_FAILED, /* `why` says what cannot be read */
};

/* Counts what is in flight on the ports now by the tables of /proc/self/net. */
enum look files_look(struct snapshot *snapshot, struct ports *ports, millis stop_at,
		     struct text *why);

/* Adds that a file cannot be read, by errno. */
enum look files_failed(const char *path, struct text *why);

#endif
