/* Lists sockets by NETLINK_SOCK_DIAG, which requires no privilege. */
#include "dump.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NETLINK_SOCK_DIAG = 4 }; /* linux/netlink.h */

/* The kernel fills no more at once (netlink_recvmsg). */
static _Alignas(8) char buffer[32 * 1024];

static enum dump failed(int error)
{
	errno = error;
	return DUMP_FAILED;
}

/* All of one receive; DIAG_NOTHING: there is more to come. */
static enum diag_got take_messages(struct span bytes, struct dump_taker *taker, bool *rows,
				   int *error)
{
	struct diag_message message = {.error = 0};
	for (;;) {
		enum diag_got got = diag_next(&bytes, &message);
		if (got == DIAG_ROW)
			taker->take(taker->to, &message.row);
		if ((got == DIAG_ROW || got == DIAG_DONE) && message.interrupted)
			taker->seams++;
		*rows |= got == DIAG_ROW;
		*error = message.error;
		if (got != DIAG_ROW && got != DIAG_OTHER)
			return got;
	}
}

static enum dump receive(int fd, millis stop_at, struct dump_taker *taker)
{
	bool begun = false;
	for (;;) {
		bool rows = false;
		int error;
		/* The answer to a request is made while that is sent, and by each receive. */
		ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return DUMP_FAILED;
		if (size == 0 || (size_t)size > sizeof(buffer))
			return failed(EPROTO);
		enum diag_got got =
			take_messages((struct span){buffer, (size_t)size}, taker, &rows, &error);
		if (rows && begun)
			taker->seams++;
		begun |= rows;
		if (got == DIAG_DONE)
			return DUMP_DONE;
		if (got != DIAG_NOTHING)
			return failed(got == DIAG_REFUSED ? error : EPROTO);
		if (clock_now() >= stop_at)
			return DUMP_LATE;
	}
}

static enum dump dump_family(int fd, int family, enum diag_protocol protocol, uint32_t states,
			     millis stop_at, struct dump_taker *taker)
{
	struct diag_request request;
	diag_request(&request, family, protocol, states);
	/* A socket that is not connected sends to the kernel. */
	if (send(fd, request.bytes, request.size, MSG_DONTWAIT) != (ssize_t)request.size)
		return DUMP_FAILED;
	return receive(fd, stop_at, taker);
}

enum dump dump_sockets(enum diag_protocol protocol, uint32_t states, millis stop_at,
		       struct dump_taker *taker)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return DUMP_FAILED;
	enum dump dump = dump_family(fd, AF_INET, protocol, states, stop_at, taker);
	if (dump == DUMP_DONE)
		dump = dump_family(fd, AF_INET6, protocol, states, stop_at, taker);
	int error = errno;
	close(fd);
	errno = error;
	return dump;
}
