/* Passes ports from a daemon to the client and to the next daemon. Pure. */
#include "carried.h"

void carried_add(struct carried *carried, uint16_t port)
{
	for (unsigned i = 0; i < carried->count; i++)
		if (carried->ports[i] == port)
			return;
	if (port && carried->count < CARRIED_AT_MOST)
		carried->ports[carried->count++] = port;
}

void carried_add_all(struct carried *carried, const struct ports *ports)
{
	for (unsigned port = 1; port <= UINT16_MAX; port++)
		if (ports_has(ports, (uint16_t)port))
			carried_add(carried, (uint16_t)port);
}

void ports_watch(struct ports *ports, uint16_t port)
{
	if (ports_has(ports, port))
		return;
	ports->bits[port / 8] |= (uint8_t)(1 << port % 8);
	ports->count++;
}

void carried_into(const struct carried *carried, struct ports *ports)
{
	for (unsigned i = 0; i < carried->count; i++)
		ports_watch(ports, carried->ports[i]);
}

void carried_field(const struct carried *carried, struct text *text)
{
	for (unsigned i = 0; i < carried->count; i++) {
		text_add(text, i ? "," : ",\"ports\":[");
		text_number(text, carried->ports[i]);
	}
	text_add(text, carried->count ? "]" : "");
}
