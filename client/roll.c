/* SIGHUP with a broken configuration changes nothing: so the outcome is checked. */
#include "roll.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

enum { NEW_WORKERS_WITHIN = 3000 };

static bool is_old(const struct roll *roll, pid_t worker)
{
	for (unsigned i = 0; i < roll->old_count; i++)
		if (roll->old[i] == worker)
			return true;
	return false;
}

bool roll_begin(struct roll *roll, const char *pid_file, millis now, struct text *why)
{
	roll->master = nginx_master(pid_file, why);
	if (!roll->master)
		return false;
	if (!nginx_has_workers(roll->master)) {
		text_add(why, "it runs without a master process");
		return false;
	}
	roll->old_count = nginx_workers(roll->master, roll->old);
	roll->give_up_at = now + NEW_WORKERS_WITHIN;
	if (nginx_signal(roll->master, 0, SIGHUP))
		return true;
	const char *reason = strerror(errno);
	text_add(why, "signal nginx ");
	text_number(why, (uint64_t)roll->master);
	text_add(why, ": ");
	text_add(why, reason);
	return false;
}

enum roll_state roll_step(struct roll *roll, millis now)
{
	static pid_t workers[NGINX_WORKERS];
	unsigned count = nginx_workers(roll->master, workers);
	for (unsigned i = 0; i < count; i++)
		if (!is_old(roll, workers[i]))
			return ROLL_DONE;
	if (now < roll->give_up_at)
		return ROLL_RUNNING;
	for (unsigned i = 0; i < roll->old_count; i++)
		nginx_signal(roll->master, roll->old[i], SIGQUIT);
	return ROLL_FORCED;
}
