/* Compares a process's namespaces with those of this one. */
#include "namespace.h"
#include "proc.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The kernel numbers namespaces from 0xF0000000 up (PROC_DYNAMIC_FIRST of fs/proc/generic.c), and
 * the first ones from just below (NET_NS_INIT_INO of linux/nsfs.h). gVisor has small numbers, in
 * old releases another one for each process. */
enum { KERNEL_S_LEAST_MSB = 0xE };

uint64_t namespace_number(struct span link)
{
	const char *open = link.size ? memchr(link.at, '[', link.size) : NULL;
	uint64_t number = open ? proc_bracketed(link, (size_t)(open + 1 - link.at)) : 0;
	return number >> 28 >= KERNEL_S_LEAST_MSB ? number : 0;
}

static uint64_t number_of(pid_t pid, const char *name)
{
	char bytes[64], target[64];
	struct text path = TEXT_IN(bytes);
	proc_path(&path, pid, name);
	ssize_t size = readlink(bytes, target, sizeof(target));
	return size > 0 ? namespace_number((struct span){target, (size_t)size}) : 0;
}

bool namespaces_are_hosts(void)
{
	/* PID_NS_INIT_INO and, from Linux 6.18 on, NET_NS_INIT_INO of linux/nsfs.h. */
	static const uint64_t first_pids = 0xEFFFFFFC, first_net = 0xEFFFFFF9;
	uint64_t net = number_of(0, "ns/net");
	char buffer[4];
	struct span name;
	/* hidepid (proc(5)) would hide that of process 1, too. */
	return number_of(0, "ns/pid") == first_pids &&
	       proc_read_of(1, "comm", buffer, sizeof(buffer), &name) &&
	       (net == first_net || net == number_of(1, "ns/net"));
}

bool namespace_is_other(pid_t pid, const char *name)
{
	uint64_t own = number_of(0, name);
	errno = 0;
	uint64_t theirs = number_of(pid, name);
	if (own && (errno == ENOENT || errno == ESRCH)) /* it has ended */
		return true;
	return own && theirs && own != theirs;
}
