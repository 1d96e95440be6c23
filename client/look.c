/* Looks at the sockets of this netns by sock_diag, which has most fields. Where that is refused (an
 * old kernel, a sandbox, a seccomp profile), reads the files of /proc/self/net. */
#include "look.h"
#include "dump.h"
#include "files.h"
#include "proc.h"
#include "procnet.h"
#include <errno.h>
#include <string.h>

/* Looks that a connection may miss before it counts as new: at least 5 s. */
enum { IGNORED_KEPT = 50, OPEN_KEPT = 1 };

/* TCP states as bits; newer kernels have other states, which are not connections. */
enum { ALL_STATES = (1 << 12) - 1 };

static char files_because[128]; /* empty while sock_diag answers */

const char *look_source(void)
{
	return *files_because ? files_because : "sock_diag";
}

static void give_up_diag(int error)
{
	struct text text = TEXT_IN(files_because);
	text_add(&text, "the files of /proc/self/net, as sock_diag says: ");
	text_error(&text, error);
}

struct watched {
	struct snapshot *snapshot;
	struct ports *ports;
};

static void take_row(void *to, const struct row *row)
{
	struct watched *watched = to;
	snapshot_row(watched->snapshot, watched->ports, row);
}

static void take_mptcp(void *to, const struct row *row)
{
	mptcp_add(to, row);
}

/* Read before TCP's sockets, so that a connection that closes in between still counts as open. */
static void look_at_mptcp(struct snapshot *snapshot, struct mptcp *mptcp, millis stop_at)
{
	static bool refused;
	struct dump_taker taker = {.take = take_mptcp, .to = mptcp};
	uint32_t closing = ALL_STATES & ~(1u << TCP_ESTABLISHED | 1u << TCP_LISTEN);
	mptcp_clear(mptcp);
	snapshot->mptcp = mptcp;
	if (!refused)
		refused = dump_sockets(DIAG_MPTCP, closing, stop_at, &taker) == DUMP_FAILED;
}

static enum dump look_by_diag(struct snapshot *snapshot, struct ports *ports, bool time_wait,
			      millis stop_at)
{
	static struct mptcp mptcp;
	struct watched watched = {snapshot, ports};
	struct dump_taker taker = {.take = take_row, .to = &watched};
	uint32_t passed_over = 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV | 1u << TCP_CLOSE;
	look_at_mptcp(snapshot, &mptcp, stop_at);
	if (!time_wait)
		passed_over |= 1u << TCP_TIME_WAIT;
	enum dump dump = dump_sockets(DIAG_TCP, ALL_STATES & ~passed_over, stop_at, &taker);
	snapshot->seams = taker.seams;
	return dump;
}

bool look_at_datagrams(uint64_t *in, uint64_t *out)
{
	static char buffer[16 * 1024];
	struct span content;
	uint64_t more;
	if (!proc_read("/proc/self/net/snmp", buffer, sizeof(buffer), &content) ||
	    !procnet_counter(content, "Udp: ", "InDatagrams", in) ||
	    !procnet_counter(content, "Udp: ", "OutDatagrams", out))
		return false;
	if (proc_read("/proc/self/net/snmp6", buffer, sizeof(buffer), &content)) {
		*in += procnet_value(content, "Udp6InDatagrams", &more) ? more : 0;
		*out += procnet_value(content, "Udp6OutDatagrams", &more) ? more : 0;
	}
	return true;
}

static enum look take_arrivals(uint64_t *arrivals, struct text *why)
{
	static const char path[] = "/proc/self/net/snmp";
	static char buffer[16 * 1024];
	struct span content;
	if (!proc_read(path, buffer, sizeof(buffer), &content))
		return files_failed(path, why);
	if (procnet_counter(content, "Tcp: ", "PassiveOpens", arrivals))
		return LOOK_DONE;
	text_add(why, "find PassiveOpens in /proc/self/net/snmp");
	return LOOK_FAILED;
}

static struct known known, open;

static void begin(struct snapshot *snapshot, const struct policy *policy)
{
	*snapshot = (struct snapshot){
		.known = &known,
		.open = &open,
		.min_wait = policy->min_wait,
		.ignored = policy->ignored,
		.nodes = policy->nodes,
		.unreachable_after = policy->unreachable_after,
	};
}

static enum look look_at_rows(struct snapshot *snapshot, struct ports *ports, bool time_wait,
			      const struct policy *policy, struct text *why)
{
	known_look(&known, IGNORED_KEPT, 0);
	known_look(&open, OPEN_KEPT, clock_now());
	begin(snapshot, policy);
	if (!*files_because) {
		enum dump dump = look_by_diag(snapshot, ports, time_wait, policy->timeout);
		if (dump != DUMP_FAILED)
			return dump == DUMP_DONE ? LOOK_DONE : LOOK_LATE;
		give_up_diag(errno);
		begin(snapshot, policy);
	}
	return files_look(snapshot, ports, policy->timeout, why);
}

enum look look_at_sockets(struct snapshot *snapshot, struct ports *ports,
			  const struct policy *policy, struct text *why)
{
	const struct ignored *ignored = policy->ignored;
	bool others = ignored->peer_count || ignored->port_count || policy->nodes->peer_count;
	uint64_t before = 0;
	enum look look = others ? take_arrivals(&before, why) : LOOK_DONE;
	if (look == LOOK_DONE)
		look = look_at_rows(snapshot, ports, others, policy, why);
	snapshot->arrivals_before = before;
	/* Read after the sockets, so that a connection made in between counts as an arrival. */
	return look == LOOK_DONE ? take_arrivals(&snapshot->arrivals, why) : look;
}
