#ifndef DRAINMON_PROCESSES_H
#define DRAINMON_PROCESSES_H

#include "text.h"
#include <sys/types.h>

enum { PROCESSES_AT_MOST = 1088 }; /* more than NGX_MAX_PROCESSES */

enum role {
	ROLE_NONE, /* not a process of nginx */
	ROLE_MASTER,
	ROLE_WORKER,
	ROLE_QUITTING, /* a worker that has left the listeners and finishes its connections */
	ROLE_HELPER,   /* the cache manager and others without connections */
};

/* "nginx: master process ..." -> "master process ..."; empty without a title. */
struct span title_part(struct span title);
/* By the titles of nginx and angie; openresty's and tengine's processes call themselves nginx. */
enum role title_role(struct span title);

/* The first bytes of a process's command line, which nginx overwrites with a title. */
bool process_title(pid_t pid, char *buffer, size_t size, struct span *title);
/* Whether the process of a pid file is nginx, with any title: nginx has none at its start, and
 * never with master_process off. */
bool process_is_named_master(pid_t pid);

struct process {
	pid_t pid, parent;
	enum role role;
	uint64_t started; /* in ticks of 10 ms */
};
/* Reads the process with that pid; `named`: a pid file names it as master. */
void process_read(struct process *process, bool named);

/* The nginx processes of this netns. */
struct processes {
	unsigned count;
	struct process list[PROCESSES_AT_MOST];
};

/* Finds all; `named`: the master that a pid file names, or 0. */
void processes_find(struct processes *processes, pid_t named);
/* Whether a process of this netns has the name nginx, with any title. */
bool processes_called_nginx(void);
/* The CPU time of a process, in ticks. */
uint64_t process_used(pid_t pid);
/* Reads the processes found before again, without looking for others. */
void processes_again(struct processes *processes);
unsigned processes_with(const struct processes *processes, enum role role);

#endif
