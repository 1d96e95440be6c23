/* A table of fixed size, by a hash of the connection's ends. Pure. */
#include "silent.h"

enum { PROBES = 32 };

/* FNV-1a */
static uint64_t add(uint64_t hash, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

static uint64_t add_address(uint64_t hash, const struct address *address)
{
	const uint8_t port[] = {(uint8_t)(address->port >> 8), (uint8_t)address->port};
	return add(add(hash, address->bytes, sizeof(address->bytes)), port, sizeof(port));
}

void silent_look(struct silent *silent)
{
	silent->look++;
}

millis silent_for(struct silent *silent, const struct row *row, millis now)
{
	uint64_t connection =
		add_address(add_address(0xcbf29ce484222325, &row->local), &row->remote);
	unsigned look = silent->look, free = SILENT_SLOTS;
	for (unsigned i = 0; i < PROBES; i++) {
		unsigned slot = (unsigned)(connection + i) % SILENT_SLOTS;
		/* Not seen by the last look: it has gone, or something came. */
		if (silent->slots[slot].look + 1 < look || !silent->slots[slot].look) {
			if (free == SILENT_SLOTS)
				free = slot;
		} else if (silent->slots[slot].connection == connection) {
			silent->slots[slot].look = look;
			return now - silent->slots[slot].since;
		}
	}
	if (free != SILENT_SLOTS) {
		silent->slots[free].connection = connection;
		silent->slots[free].since = now;
		silent->slots[free].look = look;
	}
	return 0;
}
