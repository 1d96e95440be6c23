/* What the daemon's lines mean. Fields that are not known here are ignored. */
#include "answer.h"
#include "json.h"

static void read_states(struct span by_state, struct progress *progress)
{
	uint64_t count;
	struct span name, value;
	for (size_t cursor = 0; json_next(by_state, &cursor, &name, &value);) {
		char bytes[16] = "";
		struct text text = TEXT_IN(bytes);
		if (span_number(value, &count) && json_string(name, &text))
			progress_state(progress, bytes, count);
	}
}

static void read_uncounted(struct span list, struct text *names)
{
	struct span key, value;
	for (size_t cursor = 0; json_next(list, &cursor, &key, &value);) {
		text_add(names, names->used ? ", " : "");
		json_string(value, names);
	}
}

static void read_ports(struct span list, struct carried *ports)
{
	struct span key, value;
	uint64_t port;
	for (size_t cursor = 0; json_next(list, &cursor, &key, &value);)
		if (span_number(value, &port) && port <= UINT16_MAX)
			carried_add(ports, (uint16_t)port);
}

bool answer_read(struct span line, struct answer *answer)
{
	static const char *const results[] = {[RESULT_DRAINED] = "drained",
					      [RESULT_DEADLINE] = "deadline",
					      [RESULT_GONE] = "gone",
					      [RESULT_CUT] = "cut",
					      [RESULT_STUCK] = "stuck"};
	*answer = (struct answer){.result = RESULT_NONE};
	struct progress *progress = &answer->progress;
	struct text uncounted = TEXT_IN(progress->uncounted);
	uint64_t elsewhere = 0;
	struct span value;
	struct {
		const char *key;
		struct text text;
	} texts[] = {{"phase", TEXT_IN(progress->phase)},
		     {"reason", TEXT_IN(progress->reason)},
		     {"roll", TEXT_IN(progress->roll)}};
	const struct {
		const char *key;
		uint64_t *count;
	} counts[] = {{"unreachable", &progress->unreachable},
		      {"unused", &progress->unused},
		      {"udp_workers", &progress->udp_workers},
		      {"elsewhere", &elsewhere}};
	if (!json_is_object(line))
		return false;
	if (json_find(line, "in_flight", &value) && !span_number(value, &progress->in_flight))
		return false;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (json_find(line, texts[i].key, &value))
			json_string(value, &texts[i].text);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (json_find(line, counts[i].key, &value))
			span_number(value, counts[i].count);
	if (json_find(line, "by_state", &value))
		read_states(value, progress);
	progress_state(progress, "elsewhere", elsewhere);
	if (json_find(line, "uncounted", &value))
		read_uncounted(value, &uncounted);
	if (json_find(line, "ports", &value))
		read_ports(value, &answer->ports);
	json_find(line, "remaining", &answer->remaining);
	if (!json_find(line, "rolls", &value) || !span_number(value, &answer->rolls) ||
	    !json_find(line, "rolled", &value) || !json_millis(value, &answer->rolled))
		answer->rolls = 0;
	if (!json_find(line, "result", &value) || json_equals(value, "") || *value.at != '"')
		return progress->phase[0];
	for (int result = RESULT_DRAINED; result <= RESULT_STUCK; result++)
		if (json_equals(value, results[result])) {
			struct text phase = TEXT_IN(progress->phase);
			text_add(&phase, results[result]);
			answer->result = result;
		}
	return answer->result != RESULT_NONE;
}

static void add_seconds(struct span connection, const char *key, const char *label,
			struct text *text)
{
	struct span value;
	millis time;
	if (!json_find(connection, key, &value) || !json_millis(value, &time))
		return;
	text_add(text, label);
	if (time < 100)
		text_add(text, "<0.1");
	else
		text_seconds(text, time);
	text_add(text, " s");
}

bool answer_next_left(struct span remaining, size_t *cursor, struct text *description)
{
	struct span key, connection, value;
	uint64_t unsent;
	if (remaining.size == 0 || !json_next(remaining, cursor, &key, &connection))
		return false;
	if (!json_is_object(connection))
		return true;
	if (json_find(connection, "remote", &value))
		json_string(value, description);
	text_char(description, ' ');
	if (json_find(connection, "state", &value))
		json_string(value, description);
	add_seconds(connection, "age", ", open ", description);
	add_seconds(connection, "idle", ", idle ", description);
	if (json_find(connection, "unsent", &value) && span_number(value, &unsent)) {
		text_add(description, ", ");
		text_number(description, unsent);
		text_add(description, " B unsent");
	}
	return true;
}

void answer_error(struct span body, unsigned status, struct text *why)
{
	struct span value;
	if (json_is_object(body) && json_find(body, "error", &value) && json_string(value, why))
		return;
	text_add(why, "status ");
	text_number(why, status);
}
