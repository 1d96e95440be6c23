#ifndef DRAINMON_ROLL_H
#define DRAINMON_ROLL_H

#include "nginx.h"

/* NGX_MAX_PROCESSES */
enum { ROLL_WORKERS = 1024, ROLL_MASTERS = 16 };

/* Replacing nginx's workers: the old ones close idle connections and finish the rest. */
struct roll {
	bool udp;       /* nginx serves UDP, and must not be reloaded */
	bool reuseport; /* each worker has a TCP listener of its own: it must not quit before
			   another has it */
	unsigned master_count;
	struct rolled_master {
		struct process process;
		bool reload;   /* by SIGHUP to the master; else by SIGQUIT to its workers */
		bool replaced; /* the master has started a worker since */
		bool hurried;  /* the roll was sped up, as connections hold signalled workers */
		bool reloaded; /* the master has started more workers than have ended */
		bool reacted;  /* a signalled worker has begun to quit */
		millis since;  /* when the first worker was signalled; 0: none was */
		millis signalled_at; /* when the last worker was */
		uint64_t used;       /* CPU time of a master that reloads, and when it last grew */
		millis used_at;
		millis give_up_at;
	} masters[ROLL_MASTERS];
	unsigned old_count;
	struct rolled_worker {
		struct process process; /* as it was then */
		bool signalled;         /* or has ended, or quits anyway */
		bool gone;
	} old[ROLL_WORKERS]; /* all workers at the start, quitting ones included */
};

enum roll_state {
	ROLL_SKIPPED, /* nothing was signalled */
	ROLL_FAILED,  /* SIGHUP changed nothing */
	ROLL_STUCK,   /* nginx's workers do not react */
	ROLL_DONE,    /* all have been signalled, and begun to quit */
	ROLL_RUNNING, /* signalled workers have not ended, or nginx reads its configuration */
};

/* Unless ROLL_RUNNING, `why` is the reason. */
enum roll_state roll_begin(struct roll *roll, const char *pid_file, millis now, struct text *why);
/* Call while ROLL_RUNNING. The best state of several masters counts. */
enum roll_state roll_step(struct roll *roll, millis now);

/* "quit" or "reload" */
const char *roll_way(const struct roll *roll);
/* The number of old workers that still exist; and whether all have been signalled, and react. */
unsigned roll_left(struct roll *roll);
bool roll_has_told_all(const struct roll *roll);

#endif
