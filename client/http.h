#ifndef DRAINMON_HTTP_H
#define DRAINMON_HTTP_H

#include "text.h"

enum { HTTP_BUFFER = 64 * 1024 };

/* An HTTP/1.x answer whose body is lines and ends with the connection. Zeroed = ready to begin. */
struct http {
	char bytes[HTTP_BUFFER];
	size_t used;
	size_t taken;
	enum { HTTP_AT_STATUS, HTTP_AT_HEADERS, HTTP_AT_LINES, HTTP_AT_REFUSAL } at;
	unsigned status;
};

enum http_got {
	HTTP_MORE, /* nothing complete yet; at the end of the connection: nothing more will come */
	HTTP_LINE, /* a line of the body */
	HTTP_REFUSED, /* any status but 200; the line is the body */
	HTTP_GARBAGE, /* not HTTP, or a line that does not fit the buffer */
};

/* Where to put bytes that arrive; never empty unless http_next returned HTTP_GARBAGE. */
char *http_room(struct http *http, size_t *size);
void http_arrived(struct http *http, size_t size);

/* The next thing in what has arrived; `line` is valid until the next http_room. */
enum http_got http_next(struct http *http, bool ended, struct span *line);

void http_reset(struct http *http);

#endif
