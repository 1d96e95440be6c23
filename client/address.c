/* Printing addresses as RFC 5952 wants them: inet_ntop would bring in printf. */
#include "address.h"
#include <string.h>

static void add_v4(const uint8_t *bytes, struct text *text)
{
	for (int i = 0; i < 4; i++) {
		if (i)
			text_char(text, '.');
		text_number(text, bytes[i]);
	}
}

static void add_hex(unsigned group, struct text *text)
{
	int shift = 12;
	while (shift && !(group >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		text_char(text, "0123456789abcdef"[group >> shift & 15]);
}

static void add_v6(const uint8_t *bytes, struct text *text)
{
	unsigned groups[8];
	int zeros_at = 0, zeros = 0;
	for (int i = 0; i < 8; i++)
		groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
	for (int i = 0; i < 8; i++) {
		int run = 0;
		while (i + run < 8 && !groups[i + run])
			run++;
		if (run > zeros) {
			zeros = run;
			zeros_at = i;
		}
	}
	if (zeros < 2) /* "::" must not stand for a single group */
		zeros_at = -1;
	int behind = zeros_at < 0 ? 0 : zeros_at + zeros;
	for (int i = 0; i < 8; i++) {
		if (i == zeros_at) {
			text_add(text, "::");
			i += zeros - 1;
			continue;
		}
		if (i && i != behind)
			text_char(text, ':');
		add_hex(groups[i], text);
	}
}

void address_text(const struct address *address, struct text *text)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (!address->v6) {
		add_v4(address->bytes, text);
	} else if (memcmp(address->bytes, mapped, sizeof(mapped)) == 0) {
		add_v4(address->bytes + 12, text);
	} else {
		text_char(text, '[');
		add_v6(address->bytes, text);
		text_char(text, ']');
	}
	text_char(text, ':');
	text_number(text, address->port);
}
