/* Asking the daemon for the drain. Whatever it does, the caller gets its turn back at once. */
#include "daemon.h"
#include "way.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RETRY = 1000,
	SILENCE = 3000,     /* the daemon speaks at least once a second */
	BACKLOG_RETRY = 10, /* hundreds of clients may ask a daemon that has just started */
};

/* So that the daemon's last words arrive on a busy node, too. */
static millis margin(millis timeout)
{
	return timeout / 10 < DAEMON_MARGIN ? timeout / 10 : DAEMON_MARGIN;
}

void daemon_init(struct daemon *daemon, const char *socket)
{
	memset(daemon, 0, sizeof(*daemon));
	daemon->ways[0] = socket;
	daemon->ways[1] = "@drainmon";
	daemon->way_count = *socket == '@' ? 1 : 2;
	daemon->fd = -1;
}

const char *daemon_way(const struct daemon *daemon)
{
	return daemon->ways[daemon->way];
}

/* Each way in has a time of its own to give its first answer. */
static void begin(struct daemon *daemon, const struct policy *policy, millis now)
{
	daemon->at = DAEMON_CONNECTING;
	daemon->next_at = now;
	daemon->give_up_at = now + (policy->timeout / 4 < SILENCE ? policy->timeout / 4 : SILENCE);
}

static void begin_round(struct daemon *daemon, const struct policy *policy, millis now)
{
	daemon->untried = daemon->way_count;
	daemon->reached = false;
	daemon->reason = TEXT_IN(daemon->why);
	begin(daemon, policy, now);
}

/* The next way in has its turn, or when each has had it, all of them later. */
static void lost(struct daemon *daemon, const struct policy *policy, millis now)
{
	if (daemon->fd >= 0)
		close(daemon->fd);
	daemon->fd = -1;
	daemon->way = (daemon->way + 1) % daemon->way_count;
	if (--daemon->untried) {
		begin(daemon, policy, now);
	} else {
		daemon->at = DAEMON_AWAY;
		daemon->next_at = now + RETRY;
	}
}

static enum daemon_event cannot_connect(struct daemon *daemon, int error)
{
	struct text *why = &daemon->reason;
	text_add(why, !why->used        ? "cannot connect "
		      : daemon->reached ? ", and cannot connect "
					: ", nor ");
	text_foreign(why, span_of(daemon_way(daemon)));
	text_add(why, ": ");
	text_error(why, error);
	return DAEMON_LOST;
}

/* Records why the daemon that was reached is of no use. */
static enum daemon_event because(struct daemon *daemon, const char *cause)
{
	struct text *why = &daemon->reason;
	if (why->used) {
		text_add(why, ", and at ");
		text_foreign(why, span_of(daemon_way(daemon)));
		text_char(why, ' ');
	}
	text_add(why, cause);
	daemon->reached = true;
	return DAEMON_LOST;
}

static void add_field(struct text *text, const char *name, millis time)
{
	text_add(text, name);
	text_millis(text, time);
}

static void write_request(struct text *request, const struct policy *policy, millis now)
{
	char bytes[1792];
	struct text body = TEXT_IN(bytes);
	/* A daemon that does not know of the margin ends in time, too. */
	add_field(&body, "{\"margin\":", margin(policy->timeout));
	add_field(&body, ",\"timeout\":", policy->timeout - margin(policy->timeout));
	add_field(&body, ",\"min_wait\":", policy->min_wait);
	add_field(&body, ",\"quiet\":", policy->quiet);
	text_add(&body, ",\"exit_at\":");
	text_number(&body, policy->exit_at);
	text_add(&body, policy->roll ? ",\"roll\":true" : ",\"roll\":false");
	add_field(&body, ",\"unreachable_after\":", policy->unreachable_after);
	add_field(&body, ",\"elapsed\":", now);
	ignored_fields(policy->ignored, &body);
	if (policy->rolls) {
		text_add(&body, ",\"rolls\":");
		text_number(&body, policy->rolls);
		add_field(&body, ",\"rolled\":", policy->rolled);
	}
	carried_field(policy->carried, &body);
	text_add(&body, "}");
	text_add(request, "POST /v1/self/drain HTTP/1.0\r\nHost: drainmon\r\n"
			  "Content-Type: application/json\r\nContent-Length: ");
	text_number(request, body.used);
	text_add(request, "\r\n\r\n");
	text_add(request, bytes);
}

static enum daemon_event ask(struct daemon *daemon, const struct policy *policy, millis now)
{
	daemon->fd = way_connect(daemon_way(daemon));
	if (daemon->fd < 0 && errno == EAGAIN) {
		daemon->next_at = now + BACKLOG_RETRY;
		return DAEMON_NOTHING;
	}
	if (daemon->fd < 0)
		return cannot_connect(daemon, errno);
	char bytes[2048];
	struct text request = TEXT_IN(bytes);
	write_request(&request, policy, now);
	/* An empty socket takes so little whole, unless its listener has just been closed. */
	if (send(daemon->fd, bytes, request.used, MSG_NOSIGNAL) != (ssize_t)request.used)
		return cannot_connect(daemon, errno);
	http_reset(&daemon->http);
	daemon->ended = false;
	daemon->at = DAEMON_ASKED;
	return DAEMON_NOTHING;
}

static enum daemon_event receive(struct daemon *daemon, millis now, struct answer *answer)
{
	struct span line;
	enum http_got got = http_next(&daemon->http, daemon->ended, &line);
	if (got == HTTP_MORE && !daemon->ended) {
		size_t room;
		char *at = http_room(&daemon->http, &room);
		ssize_t size = recv(daemon->fd, at, room, 0);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return DAEMON_NOTHING;
		if (size < 0) {
			int error = errno;
			because(daemon, "its answer breaks off: ");
			text_error(&daemon->reason, error);
			return DAEMON_LOST;
		}
		daemon->ended = size == 0;
		http_arrived(&daemon->http, (size_t)size);
		got = http_next(&daemon->http, daemon->ended, &line);
	}
	if (got == HTTP_MORE)
		return daemon->ended ? because(daemon, "it closed the connection") : DAEMON_NOTHING;
	if (got == HTTP_REFUSED) {
		because(daemon, "it says: ");
		answer_error(line, daemon->http.status, &daemon->reason);
		return DAEMON_LOST;
	}
	if (got == HTTP_GARBAGE || !answer_read(line, answer))
		return because(daemon, "it answers with garbage");
	daemon->at = DAEMON_TALKING;
	daemon->give_up_at = now + SILENCE;
	daemon->reason.used = 0; /* why another way in was of no use is of no interest any more */
	return DAEMON_ANSWER;
}

enum daemon_event daemon_step(struct daemon *daemon, const struct policy *policy, millis now,
			      struct answer *answer)
{
	enum daemon_event event = DAEMON_NOTHING;
	if (daemon->at == DAEMON_AWAY && now >= daemon->next_at)
		begin_round(daemon, policy, now);
	while (daemon->at == DAEMON_CONNECTING && now >= daemon->next_at) {
		event = ask(daemon, policy, now);
		if (event == DAEMON_LOST)
			lost(daemon, policy, now);
	}
	if (daemon->at == DAEMON_ASKED || daemon->at == DAEMON_TALKING)
		event = receive(daemon, now, answer);
	if (event == DAEMON_NOTHING && daemon->at != DAEMON_AWAY && now >= daemon->give_up_at)
		event = because(daemon, daemon->at == DAEMON_TALKING ? "it fell silent"
								     : "it does not answer");
	if (event == DAEMON_LOST && daemon->at != DAEMON_AWAY)
		lost(daemon, policy, now);
	return event;
}

millis daemon_due(const struct daemon *daemon)
{
	if (daemon->at == DAEMON_AWAY)
		return daemon->next_at;
	if (daemon->at == DAEMON_CONNECTING && daemon->next_at < daemon->give_up_at)
		return daemon->next_at;
	return daemon->give_up_at;
}
