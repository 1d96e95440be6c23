/* The pure parts of the client that are about sockets, with plain arguments, for ctypes. */
#include "arrivals.h"
#include "diag.h"
#include "node.h"
#include "procnet.h"
#include "snapshot.h"
#include "standing.h"
#include <string.h>

#define BYTES ((struct span){bytes, size})

static void add_number(struct text *text, uint64_t number)
{
	text_char(text, ' ');
	text_number(text, number);
}

static void describe(const struct row *row, struct text *text)
{
	address_text(&row->local, text);
	text_char(text, ' ');
	address_text(&row->remote, text);
	add_number(text, row->state);
	add_number(text, row->unsent);
	add_number(text, row->unread);
	add_number(text, row->inode);
	add_number(text, row->retransmits);
	add_number(text, row->probes_out);
	add_number(text, (uint64_t)row->rto);
	if (!row->counted)
		return;
	add_number(text, row->bytes_received);
	add_number(text, row->bytes_sent);
	add_number(text, (uint64_t)row->idle_in);
	add_number(text, (uint64_t)row->idle_out);
	add_number(text, (uint64_t)row->idle_ack);
}

int shim_row(const char *bytes, size_t size, char *out, size_t out_size)
{
	struct row row;
	struct text text = {out, out_size, 0};
	if (!procnet_row(BYTES, &row))
		return 0;
	describe(&row, &text);
	return 1;
}

int shim_passive_opens(const char *bytes, size_t size, uint64_t *count)
{
	return procnet_counter(BYTES, "Tcp: ", "PassiveOpens", count);
}

static const struct ignored nothing_ignored;

size_t shim_row_size(void)
{
	return sizeof(struct row);
}

int shim_standing(const struct row *row, int64_t unreachable_after, int *unrequested)
{
	*unrequested = standing_unrequested(row);
	return standing_of(row, unreachable_after);
}

/* A line for each message of one receive. */
void shim_diag(const char *bytes, size_t size, char *out, size_t out_size)
{
	static const char *const names[] = {[DIAG_ROW] = "",
					    [DIAG_OTHER] = "other",
					    [DIAG_DONE] = "done",
					    [DIAG_REFUSED] = "refused ",
					    [DIAG_GARBAGE] = "garbage"};
	struct text text = {out, out_size, 0};
	struct span left = BYTES;
	out[0] = '\0';
	for (;;) {
		struct diag_message message;
		enum diag_got got = diag_next(&left, &message);
		if (got == DIAG_NOTHING)
			return;
		text_add(&text, names[got]);
		if (got == DIAG_ROW)
			describe(&message.row, &text);
		if (got == DIAG_REFUSED)
			text_number(&text, (uint64_t)message.error);
		if (got != DIAG_GARBAGE && message.interrupted)
			text_add(&text, " interrupted");
		text_char(&text, '\n');
		if (got == DIAG_GARBAGE)
			return;
	}
}

int shim_diag_request(int family, int mptcp, uint32_t states, char *out)
{
	struct diag_request request;
	diag_request(&request, family, mptcp ? DIAG_MPTCP : DIAG_TCP, states);
	memcpy(out, request.bytes, request.size);
	return (int)request.size;
}

int shim_mptcp(const struct row *closing, int count, const struct row *subflow, uint64_t *inode)
{
	static struct mptcp mptcp;
	struct row judged = *subflow;
	mptcp_clear(&mptcp);
	for (int i = 0; i < count; i++)
		mptcp_add(&mptcp, &closing[i]);
	mptcp_apply(&mptcp, &judged);
	*inode = judged.inode;
	return (int)judged.state;
}

int shim_gateway(const char *line, size_t size, int v6, char *out, size_t out_size)
{
	struct text text = {out, out_size, 0};
	struct address gateway;
	struct span span = {line, size};
	if (!(v6 ? node_gateway6(span, &gateway) : node_gateway(span, &gateway)))
		return 0;
	address_text(&gateway, &text);
	return 1;
}

/* In flight in a table handed over in pieces; `listener` 0: every listener is nginx's. */
uint64_t shim_in_flight(const char *bytes, size_t size, size_t chunk, uint64_t listener)
{
	static struct ports ports;
	static struct known open;
	struct snapshot snapshot = {
		.ignored = &nothing_ignored, .nodes = &nothing_ignored, .open = &open};
	known_look(&open, 0, 0);
	memset(&ports, 0, sizeof(ports));
	ports.any_listener = listener == 0;
	ports.listener_count = 1;
	ports.listeners[0] = listener;
	for (size_t taken = 0, end = 0; end < size;) {
		end = size - end < chunk ? size : end + chunk;
		taken +=
			snapshot_take(&snapshot, &ports, (struct span){bytes + taken, end - taken});
	}
	return snapshot.in_flight;
}

/* 0: it is a list of peers, else it is none; `covers` for an address in 16 bytes, IPv4 mapped. */
int shim_peers(const char *list, const uint8_t address[16], int *covers)
{
	struct ignored ignored = {0};
	struct address remote = {.v6 = true};
	if (ignored_add_peers(&ignored, list))
		return -1;
	memcpy(remote.bytes, address, 16);
	*covers = ignored_peer(&ignored, &remote);
	if (!memcmp(address, "\0\0\0\0\0\0\0\0\0\0\377\377", 12)) {
		struct address v4 = {.v6 = false};
		memcpy(v4.bytes, address + 12, 4);
		if (ignored_peer(&ignored, &v4) != *covers)
			*covers = -1;
	}
	return 0;
}

/* Begins anew with the first look; how many passive opens this one tells of. */
uint64_t shim_arrivals(const char *bytes, size_t size, const char *peers, const char *ports_list,
		       const char *nodes_list, uint64_t opens, uint64_t during, int first)
{
	static struct ports ports;
	static struct known known, open;
	static struct ignored ignored, nodes;
	static struct arrivals arrivals;
	if (first) {
		memset(&ports, 0, sizeof(ports));
		memset(&known, 0, sizeof(known));
		memset(&arrivals, 0, sizeof(arrivals));
		memset(&ignored, 0, sizeof(ignored));
		memset(&nodes, 0, sizeof(nodes));
		ignored_add_peers(&nodes, nodes_list);
		ignored_add_peers(&ignored, peers);
		ignored_add_ports(&ignored, ports_list);
	}
	ports.any_listener = true;
	known_look(&known, 50, 0);
	known_look(&open, 1, 0);
	struct snapshot snapshot = {
		.known = &known, .open = &open, .ignored = &ignored, .nodes = &nodes};
	snapshot_take(&snapshot, &ports, BYTES);
	uint64_t before = arrivals.others;
	arrivals_add(&arrivals, opens - during, opens, snapshot.ignored_new);
	return arrivals.others - before;
}
