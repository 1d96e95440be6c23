/* What tells nginx's processes and sockets apart, with plain arguments, for ctypes. */
#include "life.h"
#include "namespace.h"
#include "room.h"
#include "survey.h"
#include "vanished.h"
#include <string.h>

#define BYTES ((struct span){bytes, size})

uint64_t shim_namespace(const char *bytes, size_t size)
{
	return namespace_number(BYTES);
}

int shim_role(const char *bytes, size_t size)
{
	return title_role(BYTES);
}

uint64_t shim_inode(const char *bytes, size_t size, unsigned index)
{
	return table_inode(BYTES, index);
}

/* The length of the path, -1: it does not listen. */
int shim_unix_listens(const char *bytes, size_t size, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	struct span path;
	if (!table_unix_listens(BYTES, &path))
		return -1;
	text_foreign(&text, path);
	return (int)path.size;
}

void shim_port_range(const char *bytes, size_t size, unsigned range[2])
{
	struct port_range read = table_port_range(BYTES);
	range[0] = read.first;
	range[1] = read.last;
}

/* `counts` and `chosen`: a byte for each port. */
void shim_choose(const uint8_t *counts, unsigned first, unsigned last, int any, uint8_t *chosen)
{
	static struct held_ports held;
	static struct ports ports;
	memset(&ports, 0, sizeof(ports));
	memcpy(held.counts, counts, sizeof(held.counts));
	survey_choose(&held, (struct port_range){first, last}, any, &ports);
	for (unsigned port = 0; port < 65536; port++)
		chosen[port] = ports_has(&ports, (uint16_t)port);
}

/* `roles`: of the processes of one look. 0: nginx lives, or was not seen; 1: it has ended, 2: and
 * was cut. */
int shim_life(const uint8_t *roles, unsigned count, uint64_t in_flight, uint64_t exit_at, int first)
{
	static struct life life;
	static struct processes processes;
	if (first)
		life = (struct life){0};
	processes.count = count;
	for (unsigned i = 0; i < count; i++)
		processes.list[i].role = roles[i];
	life_look(&life, &processes, in_flight);
	return life.ended ? 1 + life_was_cut(&life, exit_at) : 0;
}

/* Of `count` sockets, the inodes 1, 2, ..., whether each is found, and no other. */
int shim_holders(unsigned count)
{
	static struct holders holders;
	memset(&holders, 0, sizeof(holders));
	for (unsigned inode = 1; inode <= count; inode++)
		holders_add(&holders, inode, HELD_BY_WORKER);
	for (unsigned inode = 1; inode <= count - holders.lost; inode++)
		if (!holders_of(&holders, inode))
			return -1;
	return holders_of(&holders, 0) || holders_of(&holders, count + 1) ? -1 : (int)holders.lost;
}

/* The length of the path, -1: there is none. */
int shim_cgroup(const char *bytes, size_t size, int v2, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	struct span path;
	if (!room_cgroup(BYTES, v2, &path))
		return -1;
	text_foreign(&text, path);
	return (int)path.size;
}

int shim_vanished(int64_t now, uint64_t in, uint64_t datagrams_out, int answers, int64_t limit,
		  int first)
{
	static struct vanished vanished;
	if (first)
		vanished = (struct vanished){0};
	return vanished_look(&vanished, now, in, datagrams_out, answers, limit);
}
