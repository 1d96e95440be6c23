#ifndef DRAINMON_NGINX_H
#define DRAINMON_NGINX_H

#include "processes.h"

/* The nginx master of this netns that a pid file names; NULL looks in the usual places, then for
 * one of this container. 0: there is none, and `why` says so. */
pid_t nginx_master(const char *pid_file, struct text *why);

/* Signals a master or a worker that still is what it was, and never anything else, even when its
 * pid has meanwhile been given to another process. False sets errno. */
bool nginx_signal(const struct process *process, int signal);

#endif
