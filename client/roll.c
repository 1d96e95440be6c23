/* A harmless roll: at least one worker always accepts, and none is killed.
 *
 * quit: SIGQUIT to all workers but one; when one has ended the master forks a new one, and the last
 * old one is signalled. No configuration is read, no memory needed. reload: SIGHUP, for a master
 * with one worker, and when connections hold all signalled workers; with a broken configuration
 * nginx ignores it. */
#include "roll.h"
#include "namespace.h"
#include "room.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

enum { REACTS_WITHIN = 10000, HELD_AFTER = 1500, IDLE = 3000, READS_AT_LEAST = 30000, TICK = 10 };

static struct processes found;

static const struct process *found_again(const struct process *before)
{
	for (unsigned i = 0; i < found.count; i++)
		if (found.list[i].pid == before->pid && found.list[i].started == before->started)
			return &found.list[i];
	return NULL;
}

static bool is_old(const struct roll *roll, const struct process *process)
{
	for (unsigned i = 0; i < roll->old_count; i++)
		if (roll->old[i].process.pid == process->pid &&
		    roll->old[i].process.started == process->started)
			return true;
	return false;
}

static unsigned unsignalled(const struct roll *roll, const struct rolled_master *master)
{
	unsigned count = 0;
	for (unsigned i = 0; i < roll->old_count; i++)
		count += roll->old[i].process.parent == master->process.pid &&
			 !roll->old[i].signalled;
	return count;
}

/* A master without workers, after SIGWINCH or just after its start, is skipped. */
static void take_master(struct roll *roll, const struct process *process, millis now)
{
	struct rolled_master *master = &roll->masters[roll->master_count];
	uint64_t eldest = UINT64_MAX;
	unsigned from = roll->old_count;
	if (roll->master_count == ROLL_MASTERS)
		return;
	*master = (struct rolled_master){.process = *process};
	for (unsigned i = 0; i < found.count && roll->old_count < ROLL_WORKERS; i++) {
		const struct process *child = &found.list[i];
		if (child->parent != process->pid || child->role == ROLE_MASTER)
			continue;
		if (child->started < eldest)
			eldest = child->started;
		if (child->role != ROLE_HELPER)
			roll->old[roll->old_count++] =
				(struct rolled_worker){*child, child->role == ROLE_QUITTING, false};
	}
	if (!unsignalled(roll, master)) {
		roll->old_count = from;
		return;
	}
	/* Before its first child started, the master had read its configuration. */
	millis read = eldest > process->started ? (millis)(eldest - process->started) * TICK : 0;
	master->give_up_at = now + READS_AT_LEAST + 2 * read;
	roll->master_count++;
}

static void take_masters(struct roll *roll, const char *pid_file, pid_t named, millis now)
{
	struct process by_name = {.pid = named};
	if (named)
		process_read(&by_name, true);
	for (unsigned i = 0; i < found.count; i++) {
		const struct process *process = &found.list[i];
		/* A binary upgrade's two masters are parent and child. */
		bool wanted = process->pid == named ||
			      (pid_file ? named && (process->parent == named ||
						    process->pid == by_name.parent)
					: !namespace_is_other(process->pid, "ns/mnt"));
		if (process->role == ROLE_MASTER && wanted)
			take_master(roll, process, now);
	}
}

static bool signal_worker(struct rolled_master *master, struct rolled_worker *worker, millis now)
{
	worker->signalled = true;
	if (!nginx_signal(&worker->process, SIGQUIT))
		return errno == ESRCH;
	if (!master->since)
		master->since = now;
	master->signalled_at = now;
	return true;
}

static pid_t highest(const struct roll *roll, const struct rolled_master *master)
{
	pid_t pid = 0;
	for (unsigned i = 0; i < roll->old_count; i++)
		if (roll->old[i].process.parent == master->process.pid && !roll->old[i].signalled &&
		    roll->old[i].process.pid > pid)
			pid = roll->old[i].process.pid;
	return pid;
}

static bool signal_all_but(pid_t one, struct roll *roll, struct rolled_master *master, millis now)
{
	for (unsigned i = 0; i < roll->old_count; i++) {
		struct rolled_worker *worker = &roll->old[i];
		if (worker->process.parent == master->process.pid && !worker->signalled &&
		    worker->process.pid != one && !signal_worker(master, worker, now))
			return false;
	}
	return true;
}

/* Removes a master and its workers from the roll. */
static void drop_master(struct roll *roll, unsigned index)
{
	pid_t pid = roll->masters[index].process.pid;
	unsigned kept = 0;
	for (unsigned i = 0; i < roll->old_count; i++)
		if (roll->old[i].process.parent != pid)
			roll->old[kept++] = roll->old[i];
	roll->old_count = kept;
	roll->masters[index] = roll->masters[--roll->master_count];
}

static enum roll_state begin(struct roll *roll, struct rolled_master *master, millis now,
			     struct text *why)
{
	unsigned serving = unsignalled(roll, master);
	bool sent;
	master->reload = !roll->udp && (serving == 1 || roll->reuseport);
	if (master->reload) {
		if (!room_for_reload(&found, master->process.pid, why))
			return ROLL_SKIPPED;
		master->used = process_used(master->process.pid);
		master->used_at = now;
		sent = nginx_signal(&master->process, SIGHUP);
	} else {
		sent = signal_all_but(serving == 1 ? 0 : highest(roll, master), roll, master, now);
	}
	if (sent)
		return ROLL_RUNNING;
	int error = errno;
	text_add(why, "signal nginx ");
	text_number(why, (uint64_t)master->process.pid);
	text_add(why, ": ");
	text_error(why, error);
	return ROLL_FAILED;
}

enum roll_state roll_begin(struct roll *roll, const char *pid_file, millis now, struct text *why)
{
	enum roll_state state = ROLL_SKIPPED;
	roll->master_count = roll->old_count = 0;
	pid_t named = nginx_master(pid_file, why);
	if (!named)
		return ROLL_SKIPPED;
	why->used = 0;
	processes_find(&found, 0);
	take_masters(roll, pid_file, named, now);
	for (unsigned i = 0; i < roll->master_count; i++) {
		why->used = 0;
		enum roll_state one = begin(roll, &roll->masters[i], now, why);
		if (one > state)
			state = one;
		if (one != ROLL_RUNNING)
			drop_master(roll, i--);
	}
	if (!why->used)
		text_add(why, "no nginx master has workers that accept");
	return state;
}

static enum roll_state read_on(struct rolled_master *master, millis now)
{
	uint64_t used = process_used(master->process.pid);
	if (used != master->used) {
		master->used = used;
		master->used_at = now;
	}
	bool over = now >= master->give_up_at || now - master->used_at >= IDLE;
	return over ? ROLL_FAILED : ROLL_RUNNING;
}

/* No new worker starts, as connections hold the signalled ones. */
static void hurry(struct roll *roll, struct rolled_master *master, millis now)
{
	char bytes[128];
	struct text why = TEXT_IN(bytes);
	master->hurried = true;
	if (roll->udp)
		signal_all_but(0, roll, master, now);
	else if (room_for_reload(&found, master->process.pid, &why))
		nginx_signal(&master->process, SIGHUP);
}

static enum roll_state step(struct roll *roll, struct rolled_master *master, millis now)
{
	if (master->reload) {
		if (!master->replaced)
			return read_on(master, now);
		if (!master->signalled_at)
			master->signalled_at = now; /* by nginx */
	} else {
		if (master->replaced)
			signal_all_but(0, roll, master, now);
		else if (!master->hurried && master->since && now - master->since >= HELD_AFTER)
			hurry(roll, master, now);
		if (unsignalled(roll, master))
			return ROLL_RUNNING;
	}
	if (master->reacted)
		return ROLL_DONE;
	return now - master->signalled_at >= REACTS_WITHIN ? ROLL_STUCK : ROLL_RUNNING;
}

/* Updates the state of old workers, and whether new ones have started. */
static void look(struct roll *roll, struct rolled_master *master)
{
	pid_t pid = master->process.pid;
	unsigned started = 0, ended = 0;
	for (unsigned i = 0; i < found.count; i++)
		started += found.list[i].parent == pid && found.list[i].role == ROLE_WORKER &&
			   !is_old(roll, &found.list[i]);
	master->replaced |= started != 0;
	for (unsigned i = 0; i < roll->old_count; i++) {
		struct rolled_worker *worker = &roll->old[i];
		const struct process *now = found_again(&worker->process);
		bool quits = !now || now->role == ROLE_QUITTING;
		ended += !now && worker->process.parent == pid;
		if (worker->process.parent == pid && worker->process.role == ROLE_WORKER && quits) {
			worker->signalled = true;
			master->reacted = true;
		}
	}
	master->reloaded |= master->hurried && started > ended;
}

enum roll_state roll_step(struct roll *roll, millis now)
{
	enum roll_state state = ROLL_SKIPPED;
	processes_find(&found, 0);
	for (unsigned i = 0; i < roll->master_count; i++) {
		look(roll, &roll->masters[i]);
		enum roll_state one = step(roll, &roll->masters[i], now);
		if (one > state)
			state = one;
	}
	return state;
}

const char *roll_way(const struct roll *roll)
{
	return roll->masters[0].reload || roll->masters[0].reloaded ? "reload" : "quit";
}

unsigned roll_left(struct roll *roll)
{
	unsigned count = 0;
	for (unsigned i = 0; i < roll->old_count; i++) {
		struct rolled_worker *worker = &roll->old[i];
		struct process now = {.pid = worker->process.pid};
		if (worker->gone)
			continue;
		process_read(&now, false);
		worker->gone = now.started != worker->process.started;
		count += !worker->gone;
	}
	return count;
}

bool roll_has_told_all(const struct roll *roll)
{
	if (!roll->old_count)
		return false;
	for (unsigned i = 0; i < roll->master_count; i++)
		if (!roll->masters[i].reacted)
			return false;
	for (unsigned i = 0; i < roll->old_count; i++)
		if (!roll->old[i].signalled)
			return false;
	return true;
}
