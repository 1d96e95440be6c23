#include "progress.h"
#include <string.h>

void progress_state(struct progress *progress, const char *name, uint64_t count)
{
	struct text states = TEXT_IN(progress->states);
	states.used = strlen(progress->states);
	if (!count)
		return;
	text_add(&states, states.used ? ", " : "");
	text_add(&states, name);
	text_char(&states, ' ');
	text_number(&states, count);
}
