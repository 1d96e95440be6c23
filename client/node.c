/* Recognises kubelet's probes by their address, without a daemon that sees the connecting process.
 */
#include "node.h"
#include "proc.h"
#include <string.h>

enum { RTF_GATEWAY = 2 }; /* linux/route.h */

static const char *add(void *to, struct span text)
{
	struct node *node = to;
	if (span_is(text, "gateway")) {
		node->gateways = true;
		return NULL;
	}
	return ignored_add_peer(&node->addresses, text);
}

const char *node_add(struct node *node, const char *list)
{
	return ignored_each(node, list, add);
}

/* All of the text as bytes, two digits each, in the order they are written in. */
static bool read_hex(struct span text, uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	if (text.size != 2 * count)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		const char *digit = memchr(digits, text.at[i] | 0x20, 16);
		if (!digit)
			return false;
		bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | (digit - digits));
	}
	return true;
}

static bool is_zero(struct span hex)
{
	for (size_t i = 0; i < hex.size; i++)
		if (hex.at[i] != '0')
			return false;
	return hex.size != 0;
}

/* A word as the kernel prints it: its own byte order. */
static bool read_word(struct span text, uint32_t *word)
{
	uint8_t bytes[4];
	if (!read_hex(text, bytes, sizeof(bytes)))
		return false;
	*word = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
		bytes[3];
	return true;
}

/* Interface, destination, gateway, flags, references, uses, metric, mask (fib_route_seq_show). */
bool node_gateway(struct span line, struct address *gateway)
{
	struct span field[8];
	uint32_t address;
	memset(gateway, 0, sizeof(*gateway));
	for (int i = 0; i < 8; i++)
		if (!span_word(&line, &field[i]))
			return false;
	if (!is_zero(field[1]) || !is_zero(field[7]) || !read_word(field[2], &address) || !address)
		return false;
	memcpy(gateway->bytes, &address, sizeof(address));
	return true;
}

/* Destination and length of its prefix, source and its, gateway, ..., flags (rt6_info_route). */
bool node_gateway6(struct span line, struct address *gateway)
{
	struct span field[9];
	uint32_t flags;
	memset(gateway, 0, sizeof(*gateway));
	gateway->v6 = true;
	for (int i = 0; i < 9; i++)
		if (!span_word(&line, &field[i]))
			return false;
	return is_zero(field[0]) && is_zero(field[1]) && read_word(field[8], &flags) &&
	       flags & RTF_GATEWAY && read_hex(field[4], gateway->bytes, sizeof(gateway->bytes));
}

static void find(struct node *node, const char *path,
		 bool (*read_line)(struct span line, struct address *gateway))
{
	static char buffer[16 * 1024];
	struct span text, line;
	struct address gateway;
	if (!proc_read(path, buffer, sizeof(buffer), &text))
		return;
	while (text.size) {
		const char *newline = memchr(text.at, '\n', text.size);
		line = (struct span){text.at, newline ? (size_t)(newline - text.at) : text.size};
		text.at += line.size + (newline != NULL);
		text.size -= line.size + (newline != NULL);
		if (read_line(line, &gateway))
			ignored_add_address(&node->addresses, &gateway);
	}
}

void node_find_gateways(struct node *node)
{
	if (!node->gateways)
		return;
	find(node, "/proc/self/net/route", node_gateway);
	find(node, "/proc/self/net/ipv6_route", node_gateway6);
}
