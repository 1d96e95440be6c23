#include "progress.h"

void progress_elsewhere(struct progress *progress, uint64_t count)
{
	if (!count || progress->state_count == PROGRESS_STATES)
		return;
	struct text name = TEXT_IN(progress->states[progress->state_count].name);
	text_add(&name, "elsewhere");
	progress->states[progress->state_count++].count = count;
}
