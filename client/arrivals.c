/* Which passive opens disturb the quiet. Pure. */
#include "arrivals.h"

void arrivals_add(struct arrivals *arrivals, uint64_t opens, uint64_t ignored_new)
{
	/* The opens are read behind the rows: those told the last time may be of the rows new now,
	 * and of the rows of the first look nobody knows when they came. */
	uint64_t new = arrivals->counted ? opens - arrivals->opens : 0;
	uint64_t told = arrivals->told;
	uint64_t explained = ignored_new > told ? ignored_new - told : 0;
	arrivals->told = new > explained ? new - explained : 0;
	arrivals->others += arrivals->told;
	if (!arrivals->counted)
		arrivals->told = UINT64_MAX;
	arrivals->opens = opens;
	arrivals->counted = true;
}
