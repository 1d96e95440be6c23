/* Who is to be signalled: nginx's master, by its pid file or its title, and its workers. */
#include "nginx.h"
#include "namespace.h"
#include "proc.h"
#include "processes.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A pid file left behind, in a shared pid namespace, may name the nginx of another pod. */
static bool is_master(pid_t pid)
{
	return process_is_named_master(pid) && !namespace_is_other(pid, "ns/net");
}

static bool is_worker(pid_t pid, pid_t master)
{
	char buffer[64];
	struct span title;
	if (process_parent(pid) != master || !process_title(pid, buffer, sizeof(buffer), &title))
		return false;
	/* "worker process is shutting down" has left the listeners already. */
	return span_starts(title_part(title), "worker process") &&
	       !span_starts(title_part(title), "worker process is");
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

/* That of this container, which may share its network and pids with others; of several that
 * replace each other, neither. 0, and nothing said: there is none. */
static pid_t only_master(struct text *why)
{
	static struct processes found;
	pid_t only = 0;
	why->used = 0;
	processes_find(&found, 0);
	for (unsigned i = 0; i < found.count; i++) {
		pid_t pid = found.list[i].pid;
		if (found.list[i].role != ROLE_MASTER || namespace_is_other(pid, "ns/mnt"))
			continue;
		if (only) {
			text_add(why, "there are several nginx masters (see --pid-file)");
			return 0;
		}
		only = pid;
	}
	return only;
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
	pid_t pid = only_master(why);
	if (pid || why->used)
		return pid;
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
	return process_title(master, buffer, sizeof(buffer), &title) &&
	       span_starts(title_part(title), "master process");
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
