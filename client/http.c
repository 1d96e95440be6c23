/* The daemon's answer, byte by byte: pure, the socket is daemon.c's. */
#include "http.h"
#include "json.h"
#include <string.h>

void http_reset(struct http *http)
{
	http->used = http->taken = 0;
	http->status = 0;
	http->at = HTTP_AT_STATUS;
}

char *http_room(struct http *http, size_t *size)
{
	memmove(http->bytes, http->bytes + http->taken, http->used - http->taken);
	http->used -= http->taken;
	http->taken = 0;
	*size = HTTP_BUFFER - http->used;
	return http->bytes + http->used;
}

void http_arrived(struct http *http, size_t size)
{
	http->used += size;
}

static bool take_line(struct http *http, bool ended, struct span *line)
{
	char *from = http->bytes + http->taken;
	size_t left = http->used - http->taken;
	char *newline = memchr(from, '\n', left);
	if (!newline && !(ended && left))
		return false;
	size_t size = newline ? (size_t)(newline - from) : left;
	http->taken += size + (newline != NULL);
	if (size && from[size - 1] == '\r')
		size--;
	*line = (struct span){from, size};
	return true;
}

static bool status_line(struct span line, unsigned *status)
{
	if (line.size < 12 || !span_starts(line, "HTTP/1.") || line.at[8] != ' ')
		return false;
	*status = 0;
	for (int i = 9; i < 12; i++) {
		if (line.at[i] < '0' || line.at[i] > '9')
			return false;
		*status = *status * 10 + (unsigned)(line.at[i] - '0');
	}
	return line.size == 12 || line.at[12] == ' ';
}

/* A server may hold the connection open behind an error: the body ends with its object, too. */
static enum http_got refusal(struct http *http, bool ended, struct span *line)
{
	*line = (struct span){http->bytes + http->taken, http->used - http->taken};
	if (!ended && http->used - http->taken < HTTP_BUFFER && !json_is_object(*line))
		return HTTP_MORE;
	http->taken = http->used;
	return HTTP_REFUSED;
}

enum http_got http_next(struct http *http, bool ended, struct span *line)
{
	while (http->at != HTTP_AT_REFUSAL && take_line(http, ended, line)) {
		if (http->at == HTTP_AT_LINES) {
			if (line->size)
				return HTTP_LINE;
		} else if (http->at == HTTP_AT_HEADERS) {
			if (!line->size)
				http->at = http->status == 200 ? HTTP_AT_LINES : HTTP_AT_REFUSAL;
		} else if (status_line(*line, &http->status)) {
			http->at = HTTP_AT_HEADERS;
		} else {
			return HTTP_GARBAGE;
		}
	}
	if (http->at == HTTP_AT_REFUSAL)
		return refusal(http, ended, line);
	return http->used - http->taken == HTTP_BUFFER ? HTTP_GARBAGE : HTTP_MORE;
}
