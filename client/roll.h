#ifndef DRAINMON_ROLL_H
#define DRAINMON_ROLL_H

#include "nginx.h"

/* NGX_MAX_PROCESSES */
enum { ROLL_WORKERS = 1024, ROLL_MASTERS = 16 };

/* Replacing nginx's workers: the old ones close idle connections and finish the rest. */
struct roll {
	bool udp;       /* nginx serves UDP: it must not be reloaded */
	bool reuseport; /* each worker has a TCP listener of its own: it must not quit before
			   another has it */
	unsigned master_count;
	struct rolled_master {
		struct process process;
		bool reload;   /* by SIGHUP to it; else by SIGQUIT to its workers */
		bool replaced; /* it has started a worker since */
		bool hurried;  /* those told are held by connections: something was done about it */
		bool reloaded; /* it has started more than have ended */
		bool reacted;  /* a worker that was told to quit has begun to */
		millis since;  /* when the first was told; 0: none was */
		millis told_at; /* when the last was */
		uint64_t used;  /* processor time of the master that is reloaded, and since when */
		millis used_at;
		millis give_up_at;
	} masters[ROLL_MASTERS];
	unsigned old_count;
	struct rolled_worker {
		struct process process; /* as it was then */
		bool told;              /* one that is gone or quitting anyway, too */
		bool gone;
	} old[ROLL_WORKERS]; /* all that there were, those that quit already included */
};

enum roll_state {
	ROLL_SKIPPED, /* nothing was signalled */
	ROLL_FAILED,  /* SIGHUP changed nothing */
	ROLL_STUCK,   /* nginx's workers do not react */
	ROLL_DONE,    /* all have been told, and begun to quit */
	ROLL_RUNNING, /* who was told has not ended, or nginx reads its configuration */
};

/* Unless ROLL_RUNNING, `why` says what stands in the way. */
enum roll_state roll_begin(struct roll *roll, const char *pid_file, millis now, struct text *why);
/* To be called while it is ROLL_RUNNING. Of several masters the best counts. */
enum roll_state roll_step(struct roll *roll, millis now);

/* "quit" or "reload" */
const char *roll_way(const struct roll *roll);
/* Of the workers that there were, those that still exist; and whether all have been told, and
 * react. */
unsigned roll_left(struct roll *roll);
bool roll_has_told_all(const struct roll *roll);

#endif
