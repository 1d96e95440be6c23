/* The pure parts of the client with plain arguments, for ctypes; about sockets: shim_sockets.c. */
#include "answer.h"
#include "duration.h"
#include "http.h"
#include "json.h"
#include "proc.h"
#include "settle.h"
#include <string.h>

#define BYTES ((struct span){bytes, size})

int shim_duration(const char *text, int64_t *time)
{
	return duration_read(text, time);
}

int shim_is_object(const char *bytes, size_t size)
{
	return json_is_object(BYTES);
}

int shim_find(const char *bytes, size_t size, const char *key, size_t *at, size_t *length)
{
	struct span value;
	if (!json_find(BYTES, key, &value))
		return 0;
	*at = (size_t)(value.at - bytes);
	*length = value.size;
	return 1;
}

/* How many members a walk meets. */
size_t shim_walk(const char *bytes, size_t size)
{
	struct span key, value;
	size_t count = 0;
	for (size_t cursor = 0; json_next(BYTES, &cursor, &key, &value);)
		count++;
	return count;
}

int shim_millis(const char *bytes, size_t size, int64_t *time)
{
	return json_millis(BYTES, time);
}

int shim_string(const char *bytes, size_t size, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	return json_string(BYTES, &text) ? (int)text.used : -1;
}

/* result, phase, in flight, and whom it would print as left. */
int shim_answer(const char *bytes, size_t size, char *out, size_t out_size)
{
	struct answer answer;
	struct text text = {out, out_size, 0};
	out[0] = '\0';
	if (!answer_read(BYTES, &answer))
		return -1;
	text_add(&text, answer.progress.phase);
	text_char(&text, ' ');
	text_number(&text, answer.progress.in_flight);
	if (answer.progress.states[0]) {
		text_add(&text, " (");
		text_add(&text, answer.progress.states);
		text_char(&text, ')');
	}
	if (answer.progress.udp_workers) {
		text_add(&text, " udp=");
		text_number(&text, answer.progress.udp_workers);
	}
	if (answer.progress.roll[0]) {
		text_add(&text, " roll=");
		text_add(&text, answer.progress.roll);
	}
	if (answer.progress.uncounted[0]) {
		text_add(&text, " but ");
		text_add(&text, answer.progress.uncounted);
	}
	for (unsigned i = 0; i < answer.ports.count; i++) {
		text_add(&text, i ? "," : " :");
		text_number(&text, answer.ports.ports[i]);
	}
	size_t cursor = 0;
	for (int i = 0; i < LEFT_AT_MOST; i++) {
		text_char(&text, '\n');
		if (!answer_next_left(answer.remaining, &cursor, &text))
			break;
	}
	return (int)answer.result;
}

/* What http.c makes of an answer that arrives in pieces of `chunk` bytes and then ends. */
void shim_http(const char *bytes, size_t size, size_t chunk, char *out, size_t out_size)
{
	static struct http http;
	struct text text = {out, out_size, 0};
	struct span line;
	out[0] = '\0';
	http_reset(&http);
	for (size_t at = 0, piece;; at += piece) {
		size_t room;
		char *to = http_room(&http, &room);
		piece = size - at < chunk ? size - at : chunk;
		if (piece > room)
			piece = room;
		memcpy(to, bytes + at, piece);
		http_arrived(&http, piece);
		enum http_got got;
		while ((got = http_next(&http, piece == 0, &line)) == HTTP_LINE) {
			text_add(&text, "line ");
			text_foreign(&text, line);
			text_char(&text, '\n');
		}
		if (got == HTTP_REFUSED) {
			text_add(&text, "refused ");
			text_number(&text, http.status);
			text_char(&text, ' ');
			text_foreign(&text, line);
		}
		if (got == HTTP_GARBAGE)
			text_add(&text, "garbage");
		if (got != HTTP_MORE || piece == 0)
			return;
	}
}

static const struct ignored nothing_ignored;

long shim_number(const char *bytes, size_t size)
{
	return proc_number(BYTES);
}

int shim_parent(const char *bytes, size_t size)
{
	return (int)proc_stat(BYTES, STAT_PARENT);
}

static struct settle settle;
static struct policy policy;

void shim_settle(int64_t timeout, int64_t min_wait, int64_t quiet, uint64_t exit_at, int roll,
		 int64_t now, uint64_t rolls, int64_t rolled)
{
	policy = (struct policy){.timeout = timeout,
				 .min_wait = min_wait,
				 .quiet = quiet,
				 .exit_at = exit_at,
				 .roll = roll,
				 .rolls = rolls,
				 .rolled = rolled,
				 .ignored = &nothing_ignored,
				 .nodes = &nothing_ignored};
	settle_init(&settle, &policy, now);
}

static struct sight sight;

int shim_step(int64_t now, uint64_t in_flight, uint64_t arrivals, uint64_t udp_workers,
	      int udp_told, int listens, int lives)
{
	sight = (struct sight){.in_flight = in_flight,
			       .arrivals = arrivals,
			       .udp_workers = udp_workers,
			       .udp_told = udp_told,
			       .listens = listens,
			       .lives = lives,
			       .late = sight.late,
			       .late_since = sight.late_since};
	return settle_step(&settle, &policy, now, &sight);
}

/* Of those in flight that the next steps see. */
void shim_late(uint64_t late, int64_t since)
{
	sight.late = late;
	sight.late_since = since;
}

int shim_newcomers(int64_t now, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	return settle_newcomers(&settle, now, &sight, &text);
}

int64_t shim_look_pause(int64_t used)
{
	return settle_look_pause(used);
}

void shim_rolled(void)
{
	settle_rolled(&settle);
}

void shim_roll_skipped(void)
{
	settle_roll_skipped(&settle);
}

void shim_roll_failed(void)
{
	settle_roll_failed(&settle);
}

void shim_stuck(void)
{
	settle_stuck(&settle);
}

uint64_t shim_rolls(void)
{
	return settle.rolls;
}

const char *shim_phase(void)
{
	return settle_phase(&settle);
}

void shim_reason(int64_t now, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	out[0] = '\0';
	settle_reason(&settle, &policy, now, &sight, &text);
}
