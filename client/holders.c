/* Finds the sockets of nginx's processes by the links of /proc/<pid>/fd. */
#include "holders.h"
#include "proc.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static unsigned slot_of(const struct holders *holders, uint64_t inode)
{
	unsigned slot = (unsigned)(inode * 0x9e3779b97f4a7c15 >> 49) % HOLDERS_SLOTS;
	while (holders->inodes[slot] && holders->inodes[slot] != inode)
		slot = (slot + 1) % HOLDERS_SLOTS;
	return slot;
}

uint8_t *holders_of(struct holders *holders, uint64_t inode)
{
	unsigned slot = slot_of(holders, inode);
	return inode && holders->inodes[slot] ? &holders->held[slot] : NULL;
}

void holders_add(struct holders *holders, uint64_t inode, uint8_t held)
{
	unsigned slot = slot_of(holders, inode);
	if (!holders->inodes[slot]) {
		if (holders->count == HOLDERS_FULL) {
			holders->lost++;
			return;
		}
		holders->inodes[slot] = inode;
		holders->count++;
	}
	holders->held[slot] |= held;
}

/* Root without CAP_SYS_PTRACE may list the descriptors of another user's process, not read them. */
static bool refused(void)
{
	return errno == EACCES || errno == EPERM;
}

static void read_descriptors(struct holders *holders, pid_t pid, uint8_t held, millis stop_at)
{
	char bytes[64], target[64];
	struct text path = TEXT_IN(bytes);
	struct proc_numbers descriptors;
	long number;
	proc_path(&path, pid, "fd/");
	size_t prefix = path.used;
	if (!proc_numbers_open(&descriptors, bytes)) {
		holders->unread |= refused();
		return;
	}
	while (clock_now() < stop_at && proc_numbers_next(&descriptors, &number)) {
		path.used = prefix;
		text_number(&path, (uint64_t)number);
		ssize_t size = readlink(bytes, target, sizeof(target));
		holders->unread |= size < 0 && refused();
		struct span link = {target, size > 0 ? (size_t)size : 0};
		uint64_t inode = span_starts(link, "socket:[") ? proc_bracketed(link, 8) : 0;
		if (inode)
			holders_add(holders, inode,
				    number <= STDERR_FILENO ? held | HELD_AS_STDIO : held);
	}
	proc_numbers_close(&descriptors);
}

void holders_read(struct holders *holders, const struct processes *processes, uint8_t held_by,
		  millis stop_at)
{
	static const uint8_t by_role[] = {
		[ROLE_MASTER] = HELD_BY_MASTER,
		[ROLE_WORKER] = HELD_BY_WORKER,
		[ROLE_QUITTING] = HELD_BY_WORKER | HELD_BY_QUITTING,
		[ROLE_HELPER] = 0,
	};
	for (unsigned i = 0; i < processes->count; i++)
		if (by_role[processes->list[i].role] & held_by)
			read_descriptors(holders, processes->list[i].pid,
					 by_role[processes->list[i].role], stop_at);
}
