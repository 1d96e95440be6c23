/* Which connections are ignored. Pure. */
#include "ignored.h"
#include <arpa/inet.h>
#include <string.h>

#define TOO_MANY "is more than can be ignored (at most 16)"

enum { MAPPED_BITS = 96, LONGEST = 49 };

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* All digits of the text; false when it is none, or has more than five. */
static bool read_number(struct span text, unsigned *number)
{
	uint64_t read = 0;
	bool good = text.size <= 5 && span_number(text, &read);
	*number = (unsigned)read;
	return good;
}

static bool read_peer(struct span text, uint8_t bytes[16], unsigned *bits)
{
	char address[LONGEST + 1] = "";
	unsigned least = 0, most = 128;
	const char *slash = memchr(text.at, '/', text.size);
	size_t size = slash ? (size_t)(slash - text.at) : text.size;
	struct span prefix = {text.at + size + 1, slash ? text.size - size - 1 : 0};
	if (size > LONGEST)
		return false;
	memcpy(address, text.at, size);
	if (inet_pton(AF_INET, address, bytes + 12) == 1) {
		memcpy(bytes, mapped, sizeof(mapped));
		least = MAPPED_BITS;
	} else if (inet_pton(AF_INET6, address, bytes) != 1) {
		return false;
	}
	*bits = most - least;
	if (slash && (prefix.size > 3 || !read_number(prefix, bits)))
		return false;
	*bits += least;
	return *bits <= most;
}

const char *ignored_add_peer(struct ignored *ignored, struct span text)
{
	if (ignored->peer_count == IGNORED_AT_MOST)
		return TOO_MANY;
	unsigned at = ignored->peer_count;
	ignored->peers[at].text = text;
	if (!read_peer(text, ignored->peers[at].bytes, &ignored->peers[at].bits))
		return "is neither an address nor a network (try 10.0.0.0/8)";
	ignored->peer_count++;
	return NULL;
}

static void map_address(const struct address *address, uint8_t bytes[16])
{
	memcpy(bytes, mapped, sizeof(mapped));
	memcpy(bytes + (address->v6 ? 0 : 12), address->bytes, address->v6 ? 16 : 4);
}

const char *ignored_add_address(struct ignored *ignored, const struct address *address)
{
	if (ignored->peer_count == IGNORED_AT_MOST)
		return TOO_MANY;
	unsigned at = ignored->peer_count++;
	ignored->peers[at].text = (struct span){NULL, 0};
	ignored->peers[at].bits = 128;
	map_address(address, ignored->peers[at].bytes);
	return NULL;
}

static const char *add_peer(void *to, struct span text)
{
	return ignored_add_peer(to, text);
}

static const char *add_port(void *to, struct span text)
{
	struct ignored *ignored = to;
	unsigned port;
	if (ignored->port_count == IGNORED_AT_MOST)
		return TOO_MANY;
	if (!read_number(text, &port) || port == 0 || port > UINT16_MAX)
		return "is not a port from 1 to 65535";
	ignored->ports[ignored->port_count++] = (uint16_t)port;
	return NULL;
}

const char *ignored_each(void *to, const char *list, const char *(*add)(void *to, struct span))
{
	const char *why = NULL;
	for (; !why; list++) {
		size_t size = 0;
		while (list[size] && list[size] != ',')
			size++;
		why = add(to, (struct span){list, size});
		list += size;
		if (!*list)
			break;
	}
	return why;
}

const char *ignored_add_peers(struct ignored *ignored, const char *list)
{
	return ignored_each(ignored, list, add_peer);
}

const char *ignored_add_ports(struct ignored *ignored, const char *list)
{
	return ignored_each(ignored, list, add_port);
}

bool ignored_port(const struct ignored *ignored, uint16_t port)
{
	for (unsigned i = 0; i < ignored->port_count; i++)
		if (ignored->ports[i] == port)
			return true;
	return false;
}

static bool starts_with(const uint8_t *bytes, const uint8_t *prefix, unsigned bits)
{
	if (memcmp(bytes, prefix, bits / 8) != 0)
		return false;
	unsigned rest = bits % 8;
	return !rest || (bytes[bits / 8] ^ prefix[bits / 8]) >> (8 - rest) == 0;
}

bool ignored_peer(const struct ignored *ignored, const struct address *remote)
{
	uint8_t bytes[16];
	map_address(remote, bytes);
	bool is_v4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;
	for (unsigned i = 0; i < ignored->peer_count; i++) {
		unsigned bits = ignored->peers[i].bits;
		/* ::/0 means IPv6, not the mapped addresses in it */
		if ((!is_v4 || bits >= MAPPED_BITS) &&
		    starts_with(bytes, ignored->peers[i].bytes, bits))
			return true;
	}
	return false;
}

void ignored_fields(const struct ignored *ignored, struct text *text)
{
	for (unsigned i = 0; i < ignored->peer_count; i++) {
		text_add(text, i ? ",\"" : ",\"ignore_peers\":[\"");
		text_foreign(text, ignored->peers[i].text);
		text_char(text, '"');
	}
	text_add(text, ignored->peer_count ? "]" : "");
	for (unsigned i = 0; i < ignored->port_count; i++) {
		text_add(text, i ? "," : ",\"ignore_ports\":[");
		text_number(text, ignored->ports[i]);
	}
	text_add(text, ignored->port_count ? "]" : "");
}
