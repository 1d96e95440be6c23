/* Asking the daemon for the drain. Whatever it does, the caller gets its turn back at once. */
#include "daemon.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	RETRY = 1000,
	SILENCE = 3000,     /* the daemon speaks at least once a second */
	BACKLOG_RETRY = 10, /* hundreds of clients may ask a daemon that has just started */
	MARGIN = 250,
};

/* The daemon's deadline comes before ours, so that its last words arrive on a busy node, too. */
static millis daemon_timeout(millis timeout)
{
	return timeout - (timeout / 10 < MARGIN ? timeout / 10 : MARGIN);
}

void daemon_init(struct daemon *daemon, const char *socket)
{
	memset(daemon, 0, sizeof(*daemon));
	daemon->socket = socket;
	daemon->fd = -1;
}

static enum daemon_event lost(struct daemon *daemon, millis now, const char *what, int error)
{
	struct text why = TEXT_IN(daemon->why);
	if (what) {
		text_add(&why, what);
		text_add(&why, " ");
		text_foreign(&why, span_of(daemon->socket));
		text_add(&why, ": ");
		text_error(&why, error);
	}
	if (daemon->fd >= 0)
		close(daemon->fd);
	daemon->fd = -1;
	daemon->at = DAEMON_AWAY;
	daemon->next_at = now + RETRY;
	return DAEMON_LOST;
}

static enum daemon_event lost_because(struct daemon *daemon, millis now, const char *why)
{
	struct text text = TEXT_IN(daemon->why);
	text_add(&text, why);
	return lost(daemon, now, NULL, 0);
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
	add_field(&body, "{\"timeout\":", daemon_timeout(policy->timeout));
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
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, daemon->socket, strlen(daemon->socket)); /* options.c checked it */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return lost(daemon, now, "make a socket for", errno);
	daemon->fd = fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		if (errno != EAGAIN)
			return lost(daemon, now, "connect", errno);
		close(fd);
		daemon->fd = -1;
		daemon->next_at = now + BACKLOG_RETRY;
		return DAEMON_NOTHING;
	}
	char bytes[2048];
	struct text request = TEXT_IN(bytes);
	write_request(&request, policy, now);
	/* An empty socket takes so little whole. */
	if (send(fd, bytes, request.used, MSG_NOSIGNAL) != (ssize_t)request.used)
		return lost(daemon, now, "write to", errno);
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
		if (size < 0)
			return lost(daemon, now, "read from", errno);
		daemon->ended = size == 0;
		http_arrived(&daemon->http, (size_t)size);
		got = http_next(&daemon->http, daemon->ended, &line);
	}
	if (got == HTTP_MORE)
		return daemon->ended ? lost_because(daemon, now, "it closed the connection")
				     : DAEMON_NOTHING;
	if (got == HTTP_REFUSED) {
		struct text why = TEXT_IN(daemon->why);
		text_add(&why, "it says: ");
		answer_error(line, daemon->http.status, &why);
		return lost(daemon, now, NULL, 0);
	}
	if (got == HTTP_GARBAGE || !answer_read(line, answer))
		return lost_because(daemon, now, "it answers with garbage");
	daemon->at = DAEMON_TALKING;
	daemon->give_up_at = now + SILENCE;
	return DAEMON_ANSWER;
}

enum daemon_event daemon_step(struct daemon *daemon, const struct policy *policy, millis now,
			      struct answer *answer)
{
	if (daemon->at == DAEMON_AWAY && now >= daemon->next_at) {
		daemon->at = DAEMON_CONNECTING;
		daemon->give_up_at =
			now + (policy->timeout / 4 < SILENCE ? policy->timeout / 4 : SILENCE);
	}
	enum daemon_event event = DAEMON_NOTHING;
	if (daemon->at == DAEMON_CONNECTING && now >= daemon->next_at)
		event = ask(daemon, policy, now);
	if (daemon->at == DAEMON_ASKED || daemon->at == DAEMON_TALKING)
		event = receive(daemon, now, answer);
	if (event == DAEMON_NOTHING && daemon->at != DAEMON_AWAY && now >= daemon->give_up_at)
		return lost_because(daemon, now,
				    daemon->at == DAEMON_TALKING ? "it fell silent"
								 : "it does not answer");
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
