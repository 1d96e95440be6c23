/* Reads /proc/self/net in a stream: 100,000 sockets take no more memory than one. The link
 * /proc/net is missing where /proc is mounted with subset=pid. */
#include "files.h"
#include "proc.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum look files_failed(const char *path, struct text *why)
{
	int error = errno;
	text_add(why, "read ");
	text_add(why, path);
	text_add(why, ": ");
	text_error(why, error);
	return LOOK_FAILED;
}

static enum look take_file(const char *path, struct snapshot *snapshot, struct ports *ports,
			   millis stop_at, struct text *why)
{
	static char buffer[32 * 1024];
	int fd = proc_open(path);
	if (fd < 0)
		return files_failed(path, why);
	size_t used = 0;
	ssize_t got;
	while ((got = read(fd, buffer + used, sizeof(buffer) - used)) > 0) {
		used += (size_t)got;
		size_t taken = snapshot_take(snapshot, ports, (struct span){buffer, used});
		used -= taken;
		memmove(buffer, buffer + taken, used);
		if (used == sizeof(buffer)) /* no row is that long */
			used = 0;
		snapshot->seams++;
		if (clock_now() >= stop_at)
			break;
	}
	if (snapshot->seams) /* the last read only found the end */
		snapshot->seams--;
	enum look look = got > 0 ? LOOK_LATE : got < 0 ? files_failed(path, why) : LOOK_DONE;
	close(fd);
	return look;
}

enum look files_look(struct snapshot *snapshot, struct ports *ports, millis stop_at,
		     struct text *why)
{
	enum look look = take_file("/proc/self/net/tcp", snapshot, ports, stop_at, why);
	/* A kernel without IPv6 has no such file. */
	if (look == LOOK_DONE && access("/proc/self/net/tcp6", F_OK) == 0)
		look = take_file("/proc/self/net/tcp6", snapshot, ports, stop_at, why);
	return look;
}
