/* Reading /proc/net in a stream: 100,000 sockets take no more memory than one. */
#include "look.h"
#include "proc.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static enum look failed(const char *path, struct text *why)
{
	const char *reason = strerror(errno);
	text_add(why, "read ");
	text_add(why, path);
	text_add(why, ": ");
	text_add(why, reason);
	return LOOK_FAILED;
}

static enum look take_file(const char *path, struct snapshot *snapshot, struct ports *ports,
			   millis stop_at, struct text *why)
{
	static char buffer[32 * 1024];
	int fd = proc_open(path);
	if (fd < 0)
		return failed(path, why);
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
	enum look look = got > 0 ? LOOK_LATE : got < 0 ? failed(path, why) : LOOK_DONE;
	close(fd);
	return look;
}

static enum look take_arrivals(uint64_t *arrivals, struct text *why)
{
	static const char path[] = "/proc/net/snmp";
	static char buffer[16 * 1024];
	struct span content;
	if (!proc_read(path, buffer, sizeof(buffer), &content))
		return failed(path, why);
	if (procnet_passive_opens(content, arrivals))
		return LOOK_DONE;
	text_add(why, "find PassiveOpens in /proc/net/snmp");
	return LOOK_FAILED;
}

/* Looks that may pass over a connection before it counts as a new one: 5 s at the least. */
enum { IGNORED_KEPT = 50 };

enum look look_at_sockets(struct snapshot *snapshot, struct ports *ports,
			  const struct ignored *ignored, millis stop_at, struct text *why)
{
	static struct known silent, ignored_known;
	memset(snapshot, 0, sizeof(*snapshot));
	known_look(&silent, 0);
	known_look(&ignored_known, IGNORED_KEPT);
	snapshot->silent = &silent;
	snapshot->ignored_known = &ignored_known;
	snapshot->ignored = ignored;
	snapshot->taken = clock_now();
	snapshot->sure_rto = snapshot_sure_rto(clock_jiffy());
	enum look look = LOOK_DONE;
	if (ignored->peer_count || ignored->port_count)
		look = take_arrivals(&snapshot->arrivals_before, why);
	if (look == LOOK_DONE)
		look = take_file("/proc/net/tcp", snapshot, ports, stop_at, why);
	/* A kernel without IPv6 has no such file. */
	if (look == LOOK_DONE && access("/proc/net/tcp6", F_OK) == 0)
		look = take_file("/proc/net/tcp6", snapshot, ports, stop_at, why);
	/* Behind the sockets: who arrives in between is at least an arrival. */
	return look == LOOK_DONE ? take_arrivals(&snapshot->arrivals, why) : look;
}
