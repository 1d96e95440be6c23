/* Decides whether nginx ended by itself or was stopped. Pure. */
#include "life.h"

void life_look(struct life *life, const struct processes *processes, uint64_t in_flight)
{
	unsigned workers = processes_with(processes, ROLE_WORKER);
	unsigned quitting = processes_with(processes, ROLE_QUITTING);
	life->ended = false;
	if (!workers && !quitting && !processes_with(processes, ROLE_MASTER)) {
		life->ended = life->seen;
		return;
	}
	life->seen = true;
	life->in_flight = in_flight;
	/* Before it exits, the master is alone for a moment. */
	if (workers || quitting)
		life->quitting = !workers;
}

bool life_was_cut(const struct life *life, uint64_t exit_at)
{
	return !life->quitting && life->in_flight > exit_at;
}
