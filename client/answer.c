/* What the daemon's lines mean. Fields that are not known here are passed over. */
#include "answer.h"
#include "json.h"

static void read_states(struct span by_state, struct progress *progress)
{
	struct span name, value;
	for (size_t cursor = 0; progress->state_count < PROGRESS_STATES &&
				json_next(by_state, &cursor, &name, &value);) {
		uint64_t count;
		struct text text = TEXT_IN(progress->states[progress->state_count].name);
		if (!json_count(value, &count) || count == 0 || !json_string(name, &text))
			continue;
		progress->states[progress->state_count++].count = count;
	}
}

static void read_uncounted(struct span list, struct progress *progress)
{
	struct text text = TEXT_IN(progress->uncounted);
	struct span key, value;
	for (size_t cursor = 0; json_next(list, &cursor, &key, &value);) {
		if (value.at[0] != '"')
			continue;
		text_add(&text, text.used ? ", " : "");
		json_string(value, &text);
	}
}

static void read_ports(struct span list, struct carried *ports)
{
	struct span key, value;
	uint64_t port;
	for (size_t cursor = 0; json_next(list, &cursor, &key, &value);)
		if (json_count(value, &port) && port <= UINT16_MAX)
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
	struct text phase = TEXT_IN(progress->phase), reason = TEXT_IN(progress->reason);
	struct text roll = TEXT_IN(progress->roll);
	uint64_t elsewhere = 0;
	struct span value;
	const struct {
		const char *key;
		uint64_t *count;
	} counts[] = {{"unreachable", &progress->unreachable},
		      {"unused", &progress->unused},
		      {"udp_workers", &progress->udp_workers},
		      {"elsewhere", &elsewhere}};
	if (!json_is_object(line))
		return false;
	if (json_find(line, "in_flight", &value) && !json_count(value, &progress->in_flight))
		return false;
	if (json_find(line, "by_state", &value))
		read_states(value, progress);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (json_find(line, counts[i].key, &value))
			json_count(value, counts[i].count);
	progress_elsewhere(progress, elsewhere);
	if (json_find(line, "roll", &value))
		json_string(value, &roll);
	if (json_find(line, "uncounted", &value))
		read_uncounted(value, progress);
	if (json_find(line, "ports", &value))
		read_ports(value, &answer->ports);
	if (json_find(line, "reason", &value))
		json_string(value, &reason);
	if (json_find(line, "remaining", &value))
		answer->remaining = value;
	if (json_find(line, "rolls", &value) && json_count(value, &answer->rolls) &&
	    !(json_find(line, "rolled", &value) && json_millis(value, &answer->rolled)))
		answer->rolls = 0;
	if (json_find(line, "result", &value) && !json_equals(value, "") && value.at[0] == '"') {
		for (int result = RESULT_DRAINED; result <= RESULT_STUCK; result++)
			if (json_equals(value, results[result]))
				answer->result = result;
		text_add(&phase, answer->result ? results[answer->result] : "");
		return answer->result != RESULT_NONE;
	}
	return json_find(line, "phase", &value) && json_string(value, &phase);
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
	if (json_find(connection, "unsent", &value) && json_count(value, &unsent)) {
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
