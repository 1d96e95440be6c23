#ifndef DRAINMON_NGINX_H
#define DRAINMON_NGINX_H

#include "processes.h"

/* The nginx master of this netns that a pid file names; for NULL, that of the usual pid files, else
 * one in this container. 0: none, for the reason `why`. */
pid_t nginx_master(const char *pid_file, struct text *why);

/* Signals a master or a worker, and never another process that has its pid by now. False sets
 * errno.
 */
bool nginx_signal(const struct process *process, int signal);

#endif
