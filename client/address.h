#ifndef DRAINMON_ADDRESS_H
#define DRAINMON_ADDRESS_H

#include "text.h"

struct address {
	uint8_t bytes[16]; /* network order; IPv4 in the first four */
	bool v6;
	uint16_t port;
};

/* 10.0.0.2:41234, [fd77::2]:41234; IPv4 that came to an IPv6 listener is printed as IPv4. */
void address_text(const struct address *address, struct text *text);

#endif
