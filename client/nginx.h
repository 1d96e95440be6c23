#ifndef DRAINMON_NGINX_H
#define DRAINMON_NGINX_H

#include "text.h"
#include <sys/types.h>

/* NGX_MAX_PROCESSES */
enum { NGINX_WORKERS = 1024 };

/* The nginx master of this netns that a pid file names; NULL looks in the usual places, then for
 * the only one of this container. 0: there is none, and `why` says so. */
pid_t nginx_master(const char *pid_file, struct text *why);

/* Whether a master has workers to replace: with master_process off it has none, and an nginx that
 * has just started may not know SIGHUP yet, and would end. */
bool nginx_has_workers(pid_t master);

/* The workers of a master that take new connections. */
unsigned nginx_workers(pid_t master, pid_t workers[NGINX_WORKERS]);

/* Signals a master (worker == 0) or one of its workers, and never anything else, even when the
 * pid has meanwhile been given to another process. False sets errno. */
bool nginx_signal(pid_t master, pid_t worker, int signal);

#endif
