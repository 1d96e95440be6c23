/* A QUIC client has no socket: a vanished client holds its worker for the idle timeout. Pure.
 */
#include "vanished.h"

bool vanished_look(struct vanished *vanished, millis now, uint64_t in, uint64_t out, bool answers,
		   millis limit)
{
	enum { ANSWER = 2000 }; /* for either end to acknowledge what it got */
	if (!vanished->seen || in != vanished->in)
		*vanished = (struct vanished){.seen = true, .in = in, .since = now};
	if (now - vanished->since <= ANSWER)
		vanished->out = out;
	else if (out != vanished->out && !vanished->unanswered)
		vanished->unanswered = now;
	bool gone = vanished->unanswered && now - vanished->unanswered >= ANSWER;
	return limit && now - vanished->since >= limit && (!answers || gone);
}
