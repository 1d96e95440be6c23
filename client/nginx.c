/* Who nginx is: its master by the pid file, its workers, its listeners. */
#include "nginx.h"
#include "proc.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool read_of(pid_t pid, const char *name, char *buffer, size_t size, struct span *content)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);
	proc_path(&path, pid, name);
	return proc_read(bytes, buffer, size, content);
}

static bool is_called_nginx(pid_t pid)
{
	char buffer[32];
	struct span name;
	return read_of(pid, "comm", buffer, sizeof(buffer), &name) && name.size == 6 &&
	       span_starts(name, "nginx\n");
}

/* "nginx: master process ..." -> "master process ..."; empty without a title. openresty's processes
 * call themselves nginx, too, angie's angie. */
static struct span part_of(struct span title)
{
	size_t i = 0;
	while (i < title.size && title.at[i] != ':' && title.at[i] != ' ' && title.at[i] != '\0')
		i++;
	if (i + 2 > title.size || title.at[i] != ':' || title.at[i + 1] != ' ')
		return (struct span){title.at, 0};
	return (struct span){title.at + i + 2, title.size - i - 2};
}

static pid_t parent_of(pid_t pid)
{
	char buffer[512];
	struct span stat;
	return read_of(pid, "stat", buffer, sizeof(buffer), &stat) ? proc_parent(stat) : 0;
}

static size_t netns_of(pid_t pid, char *name, size_t size)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);
	proc_path(&path, pid, "ns/net");
	ssize_t length = readlink(bytes, name, size);
	return length > 0 ? (size_t)length : 0;
}

/* A pid file left behind, in a shared pid namespace, may name the nginx of another pod. */
static bool is_elsewhere(pid_t pid)
{
	char own[64], theirs[64];
	size_t own_size = netns_of(0, own, sizeof(own));
	size_t their_size = netns_of(pid, theirs, sizeof(theirs));
	return own_size && their_size &&
	       (own_size != their_size || memcmp(own, theirs, own_size) != 0);
}

static bool is_master(pid_t pid)
{
	char buffer[64];
	struct span title;
	if (!read_of(pid, "cmdline", buffer, sizeof(buffer), &title) || is_elsewhere(pid))
		return false;
	struct span part = part_of(title);
	if (part.size)
		return span_starts(part, "master process");
	return is_called_nginx(pid) && !is_called_nginx(parent_of(pid));
}

static bool is_worker(pid_t pid, pid_t master)
{
	char buffer[64];
	struct span title;
	if (parent_of(pid) != master || !read_of(pid, "cmdline", buffer, sizeof(buffer), &title))
		return false;
	/* "worker process is shutting down" has left the listeners already. */
	return span_starts(part_of(title), "worker process") &&
	       !span_starts(part_of(title), "worker process is");
}

static pid_t master_in(const char *path, struct text *why)
{
	char buffer[32];
	struct span content;
	why->used = 0;
	if (!proc_read(path, buffer, sizeof(buffer), &content)) {
		const char *reason = strerror(errno);
		text_add(why, "read ");
		text_foreign(why, span_of(path));
		text_add(why, ": ");
		text_add(why, reason);
		return 0;
	}
	pid_t pid = (pid_t)proc_number(content);
	if (pid && is_master(pid))
		return pid;
	text_foreign(why, span_of(path));
	text_add(why, " names no nginx master of this pod");
	return 0;
}

pid_t nginx_master(const char *pid_file, struct text *why)
{
	static const char *const usual[] = {"/run/nginx.pid", "/var/run/nginx.pid",
					    "/tmp/nginx.pid", "/run/angie.pid",
					    "/usr/local/openresty/nginx/logs/nginx.pid"};
	if (pid_file)
		return master_in(pid_file, why);
	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
		pid_t pid = master_in(usual[i], why);
		if (pid)
			return pid;
	}
	why->used = 0;
	text_add(why, "no nginx master of this pod is named by /run/nginx.pid, /var/run/nginx.pid, "
		      "/tmp/nginx.pid or those of angie and openresty (see --pid-file)");
	return 0;
}

unsigned nginx_workers(pid_t master, pid_t workers[NGINX_WORKERS])
{
	struct proc_numbers processes;
	unsigned count = 0;
	long pid;
	if (!proc_numbers_open(&processes, "/proc"))
		return 0;
	while (count < NGINX_WORKERS && proc_numbers_next(&processes, &pid))
		if (is_worker((pid_t)pid, master))
			workers[count++] = (pid_t)pid;
	proc_numbers_close(&processes);
	return count;
}

bool nginx_has_workers(pid_t master)
{
	char buffer[64];
	struct span title;
	return read_of(master, "cmdline", buffer, sizeof(buffer), &title) &&
	       span_starts(part_of(title), "master process");
}

bool nginx_signal(pid_t master, pid_t worker, int signal)
{
	pid_t pid = worker ? worker : master;
	/* The pid cannot pass to another process between the check and the signal while it is held
	 * open. Kernels before 5.3 and strict seccomp profiles have no pidfd. */
	int held = (int)syscall(SYS_pidfd_open, pid, 0);
	int error = ESRCH;
	if (worker ? is_worker(worker, master) : is_master(master)) {
		long sent = held >= 0 ? syscall(SYS_pidfd_send_signal, held, signal, NULL, 0) : -1;
		if (sent != 0 && (held < 0 || errno == ENOSYS))
			sent = kill(pid, signal);
		error = sent == 0 ? 0 : errno;
	}
	if (held >= 0)
		close(held);
	errno = error;
	return error == 0;
}

bool nginx_listeners(pid_t master, struct ports *ports)
{
	char bytes[64], target[64];
	struct text path = TEXT_IN(bytes);
	struct proc_numbers descriptors;
	long number;
	bool whole = true;
	proc_path(&path, master, "fd/");
	size_t prefix = path.used;
	ports->listener_count = 0;
	if (!proc_numbers_open(&descriptors, bytes))
		return false;
	while (whole && proc_numbers_next(&descriptors, &number)) {
		path.used = prefix;
		text_number(&path, (uint64_t)number);
		ssize_t size = readlink(bytes, target, sizeof(target));
		if (size < 10 || !span_starts((struct span){target, (size_t)size}, "socket:["))
			continue;
		uint64_t inode = 0;
		for (ssize_t i = 8; i < size && target[i] >= '0' && target[i] <= '9'; i++)
			inode = inode * 10 + (uint64_t)(target[i] - '0');
		whole = ports->listener_count < LISTENERS_AT_MOST;
		if (whole)
			ports->listeners[ports->listener_count++] = inode;
	}
	proc_numbers_close(&descriptors);
	return whole && ports->listener_count > 0;
}
