/* Addresses of unix sockets. */
#include "way.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un empty = {.sun_family = AF_UNIX};

static bool is_abstract(const char *way)
{
	return *way == '@';
}

bool way_fits(const char *way)
{
	/* A path needs a terminating zero; a name has a zero in place of the @. */
	return strlen(way) + !is_abstract(way) <= sizeof(empty.sun_path);
}

int way_connect(const char *way)
{
	struct sockaddr_un address = empty;
	size_t size = strlen(way);
	socklen_t used = sizeof(address);
	memcpy(address.sun_path, way, size);
	if (is_abstract(way)) {
		/* Zeros after the name would be part of it (unix(7)). */
		address.sun_path[0] = '\0';
		used = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, used) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}
