/* The formats of /proc/net: pure parsing, nothing is read here. */
#include "procnet.h"
#include <string.h>

static bool take(struct span *line, char c)
{
	if (!line->size || *line->at != c)
		return false;
	line->at++;
	line->size--;
	return true;
}

static void take_spaces(struct span *line)
{
	while (take(line, ' '))
		;
}

/* Exactly `digits` hexadecimal digits, as the kernel's %08X: fewer or more are a torn row. */
static bool take_hex(struct span *line, int digits, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		char c = line->size ? *line->at : '\0';
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		else
			return false;
		*value = *value << 4 | digit;
		take(line, c);
	}
	return true;
}

static bool take_number(struct span *line, uint64_t *value)
{
	*value = 0;
	const char *from = line->at;
	while (line->size && *line->at >= '0' && *line->at <= '9') {
		unsigned digit = (unsigned)(*line->at - '0');
		if (*value > (UINT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
		take(line, *line->at);
	}
	return line->at != from;
}

static bool take_address(struct span *line, struct address *address)
{
	const char *colon = memchr(line->at, ':', line->size);
	int words = colon && colon - line->at == 32 ? 4 : 1;
	uint32_t value;
	memset(address, 0, sizeof(*address));
	address->v6 = words == 4;
	for (int i = 0; i < words; i++) {
		if (!take_hex(line, 8, &value))
			return false;
		/* The kernel prints the address as words of its own byte order. */
		memcpy(address->bytes + 4 * i, &value, 4);
	}
	if (!take(line, ':') || !take_hex(line, 4, &value))
		return false;
	address->port = (uint16_t)value;
	return true;
}

/* A number at the very end may have lost its last digits. */
static bool take_whole_number(struct span *line, uint64_t *value)
{
	take_spaces(line);
	return take_number(line, value) && take(line, ' ');
}

/* What the kernel prints it in: USER_HZ is 100 wherever nginx runs. */
enum { TICK = 10, LONGEST_RTO = 1000000 };

/* References, address, rto; none in what remains of a closed connection. */
static millis take_rto(struct span *line)
{
	struct span word;
	uint64_t ticks;
	if (!span_word(line, &word) || !span_word(line, &word) ||
	    !take_whole_number(line, &ticks) || ticks > LONGEST_RTO)
		return 0;
	return (millis)ticks * TICK;
}

bool procnet_row(struct span line, struct row *row)
{
	uint64_t number;
	uint32_t state, retransmits;
	struct span word;
	memset(row, 0, sizeof(*row));
	take_spaces(&line);
	if (!take_number(&line, &number) || !take(&line, ':') || !take(&line, ' ') ||
	    !take_address(&line, &row->local) || !take(&line, ' ') ||
	    !take_address(&line, &row->remote) || !take(&line, ' ') ||
	    !take_hex(&line, 2, &state) || !take(&line, ' ') || row->local.v6 != row->remote.v6)
		return false;
	row->state = state;
	if (!take_hex(&line, 8, &row->unsent) || !take(&line, ':') ||
	    !take_hex(&line, 8, &row->unread))
		return false;
	if (!span_word(&line, &word) || !take(&line, ' ') || !take_hex(&line, 8, &retransmits) ||
	    !span_word(&line, &word) || !take_whole_number(&line, &number)) /* tr, uid, timeout */
		return false;
	row->retransmits = retransmits;
	row->probes_out = (unsigned)number;
	if (!take_whole_number(&line, &row->inode))
		return false;
	row->rto = take_rto(&line);
	return true;
}

bool procnet_line(struct span *text, struct span *line)
{
	const char *newline = text->size ? memchr(text->at, '\n', text->size) : NULL;
	if (!newline)
		return false;
	*line = (struct span){text->at, (size_t)(newline - text->at)};
	text->at += line->size + 1;
	text->size -= line->size + 1;
	return true;
}

bool procnet_counter(struct span snmp, const char *protocol, const char *counter, uint64_t *count)
{
	struct span names, values, name, value;
	do
		if (!procnet_line(&snmp, &names))
			return false;
	while (!span_starts(names, protocol));
	if (!procnet_line(&snmp, &values) || !span_starts(values, protocol))
		return false;
	while (span_word(&names, &name) && span_word(&values, &value))
		if (span_is(name, counter))
			return span_number(value, count);
	return false;
}

bool procnet_value(struct span lines, const char *name, uint64_t *value)
{
	struct span line, word;
	while (procnet_line(&lines, &line))
		if (span_word(&line, &word) && span_is(word, name))
			return span_word(&line, &word) && span_number(word, value);
	return false;
}
