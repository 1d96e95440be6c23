/* Finds nginx's master by its pid file or its title, and signals nginx's processes. */
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

static pid_t master_in(const char *path, struct text *why)
{
	char buffer[32];
	struct span content;
	why->used = 0;
	if (!proc_read(path, buffer, sizeof(buffer), &content)) {
		int error = errno;
		text_add(why, "read ");
		text_foreign(why, span_of(path));
		text_add(why, ": ");
		text_error(why, error);
		return 0;
	}
	pid_t pid = (pid_t)proc_number(content);
	if (pid && is_master(pid))
		return pid;
	text_foreign(why, span_of(path));
	text_add(why, " names no nginx master of this pod");
	return 0;
}

/* One of this container, which may share its network and pids with others. */
static pid_t some_master(void)
{
	static struct processes found;
	processes_find(&found, 0);
	for (unsigned i = 0; i < found.count; i++)
		if (found.list[i].role == ROLE_MASTER &&
		    !namespace_is_other(found.list[i].pid, "ns/mnt"))
			return found.list[i].pid;
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
	text_add(why, "no nginx master of this pod is named by /run/nginx.pid or another usual "
		      "place (see --pid-file)");
	return some_master();
}

bool nginx_signal(const struct process *process, int signal)
{
	/* While the pidfd is open, the pid cannot be reused between the check and the signal.
	 * Kernels before 5.3 and old seccomp profiles have no pidfd. */
	int held = (int)syscall(SYS_pidfd_open, process->pid, 0);
	struct process now = {.pid = process->pid};
	process_read(&now, false);
	int error = ESRCH;
	if (now.role == process->role && now.started == process->started) {
		long sent = held >= 0 ? syscall(SYS_pidfd_send_signal, held, signal, NULL, 0) : -1;
		if (sent != 0 && (held < 0 || errno != ESRCH))
			sent = kill(process->pid, signal);
		error = sent == 0 ? 0 : errno;
	}
	if (held >= 0)
		close(held);
	errno = error;
	return error == 0;
}
