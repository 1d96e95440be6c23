/* Finds connections whose listener has closed or is elsewhere, and listeners that cannot be
 * counted.
 */
#include "survey.h"
#include "proc.h"
#include "procnet.h"
#include <string.h>

/* One survey, filled from the lines of the tables. */
struct taking {
	struct survey *survey;
	struct holders *holders;
	struct ports *ports;
	struct held_ports *held;
	struct port_range range;
	struct text uncounted;
	unsigned inode_word;
	uint8_t held_by;    /* whose connections' ports are taken */
	bool outside;       /* take the ports of all connections, with any holder */
	bool listeners;     /* take listeners only */
	unsigned listening; /* entries of `listening` below */
};

/* The addresses of the masters' listeners. */
static struct address listening[LISTENERS_AT_MOST];

/* Ports with a listener that no master holds, where holders are known: a sidecar's, the daemon's.
 */
static bool others[UINT16_MAX + 1];

void survey_choose(const struct held_ports *held, struct port_range range, bool any,
		   struct ports *ports)
{
	bool found = false;
	for (unsigned port = 1; port <= UINT16_MAX; port++)
		if (held->counts[port] > 1 ||
		    (held->counts[port] && (port < range.first || port > range.last))) {
			ports_watch(ports, (uint16_t)port);
			found = true;
		}
	for (unsigned port = 1; port <= UINT16_MAX && any && !found; port++)
		if (held->counts[port])
			ports_watch(ports, (uint16_t)port);
}

/* The holders of the socket, 0 for none; marks a socket in a table of this netns as HELD_HERE. */
static uint8_t found_here(struct taking *taking, uint64_t inode)
{
	uint8_t *held = holders_of(taking->holders, inode);
	if (held)
		*held |= HELD_HERE;
	return held ? *held : 0;
}

static void cannot_count(struct taking *taking, struct span path)
{
	char bytes[sizeof(taking->survey->uncounted)];
	struct text item = TEXT_IN(bytes);
	text_add(&item, "unix ");
	text_foreign(&item, path);
	/* Several sockets may share a path. */
	for (const char *named = taking->survey->uncounted; *named; named++)
		if (span_starts(span_of(named), bytes) &&
		    (named[item.used] == ',' || named[item.used] == '\0'))
			return;
	text_add(&taking->uncounted, taking->uncounted.used ? ", " : "");
	text_add(&taking->uncounted, bytes);
}

/* Whether the connection is of an nginx that has ended, with bytes left for the kernel to send. */
static bool is_tail(const struct taking *taking, const struct row *row)
{
	return !taking->survey->listens && !row->inode && row->unsent > 1 &&
	       (row->state == TCP_FIN_WAIT1 || row->state == TCP_CLOSING ||
		row->state == TCP_LAST_ACK);
}

static void take_listener(struct taking *taking, const struct address *at)
{
	for (unsigned i = 0; i < taking->listening; i++)
		taking->survey->reuseport |= listening[i].port == at->port &&
					     listening[i].v6 == at->v6 &&
					     memcmp(listening[i].bytes, at->bytes, 16) == 0;
	if (taking->listening < LISTENERS_AT_MOST)
		listening[taking->listening++] = *at;
}

static bool take_tcp(void *context, struct span line)
{
	struct taking *taking = context;
	struct row row;
	if (!procnet_row(line, &row))
		return true;
	uint8_t held = found_here(taking, row.inode);
	if (row.state == TCP_LISTEN) {
		taking->survey->listens |= taking->holders->unread || (held & HELD_BY_MASTER);
		others[row.local.port] |= taking->survey->known && !(held & HELD_BY_MASTER);
		if (taking->listeners && (held & HELD_BY_MASTER))
			take_listener(taking, &row.local);
		return true;
	}
	if (row.state == TCP_SYN_SENT)
		return true;
	uint16_t port = row.local.port;
	if (((held & taking->held_by) || is_tail(taking, &row)) &&
	    taking->held->counts[port] < UINT8_MAX)
		taking->held->counts[port]++;
	if (taking->outside && !others[port] && !taking->held->counts[port])
		taking->held->counts[port] = 1; /* in the range: where nothing else is */
	return !taking->listeners;              /* the kernel's table begins with them */
}

static bool take_udp(void *context, struct span line)
{
	static const uint8_t unconnected[16];
	struct taking *taking = context;
	struct row row;
	if (procnet_row(line, &row) && (found_here(taking, row.inode) & HELD_BY_MASTER) &&
	    row.state == TCP_CLOSE && !row.remote.port &&
	    memcmp(row.remote.bytes, unconnected, sizeof(unconnected)) == 0)
		carried_add(&taking->survey->udp, row.local.port);
	return true;
}

static bool take_unix(void *context, struct span line)
{
	struct taking *taking = context;
	struct span path;
	uint8_t held = found_here(taking, table_inode(line, 6));
	if (((held & HELD_BY_MASTER) && table_unix_listens(line, &path)) ||
	    ((held & HELD_BY_QUITTING) && table_unix_accepted(line, &path)))
		cannot_count(taking, path);
	return true;
}

static bool take_other(void *context, struct span line)
{
	struct taking *taking = context;
	found_here(taking, table_inode(line, taking->inode_word));
	return true;
}

/* All tables except TCP's: a socket of nginx's that is in none is elsewhere. */
static void take_tables(struct taking *taking, millis stop_at)
{
	static const struct {
		const char *name;
		unsigned inode_word;
		bool (*take)(void *, struct span);
	} tables[] = {
		{"unix", 0, take_unix},     {"udp", 0, take_udp},        {"udp6", 0, take_udp},
		{"udplite", 9, take_other}, {"udplite6", 9, take_other}, {"raw", 9, take_other},
		{"raw6", 9, take_other},    {"icmp", 9, take_other},     {"icmp6", 9, take_other},
		{"netlink", 9, take_other}, {"packet", 8, take_other},
	};
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		taking->inode_word = tables[i].inode_word;
		table_walk(tables[i].name, tables[i].take, taking, stop_at);
	}
	taking->survey->listens |= taking->uncounted.used || taking->survey->udp.count;
}

static void take_tcp_tables(struct taking *taking, millis stop_at)
{
	table_walk("tcp", take_tcp, taking, stop_at);
	table_walk("tcp6", take_tcp, taking, stop_at);
}

/* The number of sockets with only these holders that are in no table of this netns. */
static uint64_t held_elsewhere(const struct holders *holders, uint8_t by, uint8_t not_by)
{
	uint64_t count = 0;
	for (unsigned slot = 0; slot < HOLDERS_SLOTS; slot++)
		count += (holders->held[slot] & by) &&
			 !(holders->held[slot] & (not_by | HELD_HERE | HELD_AS_STDIO));
	return count;
}

static void note_listeners(struct survey *survey, const struct holders *holders,
			   struct ports *ports)
{
	unsigned count = 0;
	ports->listener_count = 0;
	for (unsigned slot = 0; slot < HOLDERS_SLOTS; slot++)
		if (holders->held[slot] & HELD_BY_MASTER && count++ < LISTENERS_AT_MOST)
			ports->listeners[ports->listener_count++] = holders->inodes[slot];
	survey->known = !holders->unread && !holders->lost && count && count <= LISTENERS_AT_MOST;
}

static struct port_range read_range(void)
{
	char buffer[64];
	struct span content = {buffer, 0};
	if (!proc_read("/proc/sys/net/ipv4/ip_local_port_range", buffer, sizeof(buffer), &content))
		content.size = 0;
	return table_port_range(content);
}

/* Takes the masters' sockets and the listeners; returns whether a socket is of another netns. */
static bool take_masters(struct taking *taking, const struct processes *processes, millis stop_at)
{
	memset(taking->holders, 0, sizeof(*taking->holders));
	holders_read(taking->holders, processes, HELD_BY_MASTER, stop_at);
	note_listeners(taking->survey, taking->holders, taking->ports);
	taking->listeners = true;
	taking->listening = 0;
	if (processes->count)
		take_tables(taking, stop_at);
	take_tcp_tables(taking, stop_at);
	return held_elsewhere(taking->holders, HELD_BY_MASTER, 0) != 0;
}

static void take_connections(struct taking *taking, const struct processes *processes,
			     millis stop_at)
{
	struct survey *survey = taking->survey;
	bool quitting = processes_with(processes, ROLE_QUITTING) != 0;
	bool all = !survey->listens || survey->inherited;
	if (!quitting && !all)
		return;
	holders_read(taking->holders, processes, all ? HELD_BY_WORKER : HELD_BY_QUITTING, stop_at);
	take_tables(taking, stop_at);
	taking->listeners = false;
	taking->outside = taking->holders->unread && (quitting || !survey->listens);
	taking->held_by = survey->listens ? HELD_BY_QUITTING : HELD_BY_MASTER | HELD_BY_WORKER;
	take_tcp_tables(taking, stop_at);
	if (survey->inherited)
		survey->elsewhere =
			held_elsewhere(taking->holders, HELD_BY_WORKER, HELD_BY_MASTER) +
			taking->holders->lost;
	bool any =
		processes->count && !survey->listens && !survey->inherited && !taking->ports->count;
	survey_choose(taking->held, taking->range, any, taking->ports);
}

bool survey_take(struct survey *survey, const struct processes *processes, struct ports *ports,
		 millis stop_at)
{
	static struct holders holders;
	static struct held_ports held;
	/* A quitting nginx closes its listeners, not its connections. */
	*survey = (struct survey){.inherited = survey->inherited};
	struct taking taking = {
		.survey = survey,
		.holders = &holders,
		.ports = ports,
		.held = &held,
		.range = read_range(),
		.uncounted = TEXT_IN(survey->uncounted),
	};
	memset(&held, 0, sizeof(held));
	memset(others, 0, sizeof(others));
	/* A socket that closes during the reading is in no table, either: look twice. */
	if (take_masters(&taking, processes, stop_at) && !survey->inherited)
		survey->inherited = take_masters(&taking, processes, stop_at);
	take_connections(&taking, processes, stop_at);
	return clock_now() < stop_at;
}
