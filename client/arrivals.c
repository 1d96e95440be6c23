/* Decides which passive opens are arrivals. Pure. */
#include "arrivals.h"

void arrivals_add(struct arrivals *arrivals, uint64_t before, uint64_t opens, uint64_t ignored_new)
{
	uint64_t new = arrivals->counted ? opens - arrivals->opens : 0, during = opens - before;
	/* Opens during the last snapshot were reported as arrivals, and are shown only now. */
	uint64_t shown = ignored_new > arrivals->late ? ignored_new - arrivals->late : 0;
	uint64_t reported = arrivals->counted && new > shown ? new - shown : 0;
	arrivals->others += reported;
	arrivals->late = arrivals->counted && reported < during ? reported : during;
	arrivals->opens = opens;
	arrivals->counted = true;
}
