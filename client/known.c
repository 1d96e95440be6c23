/* A table of fixed size. Pure. */
#include "known.h"

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

uint64_t known_name(const struct row *row)
{
	return add_address(add_address(0xcbf29ce484222325, &row->local), &row->remote);
}

void known_look(struct known *known, unsigned kept, millis now)
{
	known->before = known->began;
	known->began = now;
	known->look++;
	known->kept = kept;
}

enum known_as known_saw(struct known *known, const struct row *row)
{
	uint64_t connection = known_name(row);
	unsigned look = known->look, free = KNOWN_SLOTS;
	known->since = 0;
	for (unsigned i = 0; i < PROBES; i++) {
		unsigned slot = (unsigned)(connection + i) % KNOWN_SLOTS;
		if (known->slots[slot].look + 1 + known->kept < look || !known->slots[slot].look) {
			if (free == KNOWN_SLOTS)
				free = slot;
		} else if (known->slots[slot].connection == connection) {
			known->slots[slot].look = look;
			known->since = known->slots[slot].since;
			return KNOWN_BEFORE;
		}
	}
	if (free == KNOWN_SLOTS)
		return KNOWN_NOT;
	known->slots[free].connection = connection;
	known->slots[free].look = look;
	known->slots[free].since = known->since = known->before;
	return KNOWN_NEW;
}
