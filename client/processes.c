/* nginx's processes, told by their titles. */
#include "processes.h"
#include "namespace.h"
#include "proc.h"

struct span title_part(struct span title)
{
	size_t i = 0;
	while (i < title.size && title.at[i] != ':' && title.at[i] != ' ' && title.at[i] != '\0')
		i++;
	if (i + 2 > title.size || title.at[i] != ':' || title.at[i + 1] != ' ')
		return (struct span){title.at, 0};
	return (struct span){title.at + i + 2, title.size - i - 2};
}

enum role title_role(struct span title)
{
	/* php-fpm has a "master process", too. */
	if (!span_starts(title, "nginx: ") && !span_starts(title, "angie: "))
		return ROLE_NONE;
	struct span part = title_part(title);
	if (span_starts(part, "master process"))
		return ROLE_MASTER;
	if (span_starts(part, "worker process is"))
		return ROLE_QUITTING;
	return span_starts(part, "worker process") ? ROLE_WORKER : ROLE_HELPER;
}

bool process_title(pid_t pid, char *buffer, size_t size, struct span *title)
{
	return proc_read_of(pid, "cmdline", buffer, size, title);
}

static bool is_called_nginx(pid_t pid)
{
	char buffer[32];
	struct span name;
	return proc_read_of(pid, "comm", buffer, sizeof(buffer), &name) && name.size == 6 &&
	       span_starts(name, "nginx\n");
}

pid_t process_parent(pid_t pid)
{
	char buffer[512];
	struct span stat;
	return proc_read_of(pid, "stat", buffer, sizeof(buffer), &stat) ? proc_parent(stat) : 0;
}

bool process_is_named_master(pid_t pid)
{
	char buffer[64];
	struct span title;
	/* Empty: it has ended, and its parent has not noticed. */
	if (!process_title(pid, buffer, sizeof(buffer), &title) || !title.size)
		return false;
	struct span part = title_part(title);
	if (part.size)
		return span_starts(part, "master process");
	return is_called_nginx(pid) && !is_called_nginx(process_parent(pid));
}

static enum role role_of(pid_t pid, bool named)
{
	char buffer[64];
	struct span title;
	if (named)
		return process_is_named_master(pid) ? ROLE_MASTER : ROLE_NONE;
	return process_title(pid, buffer, sizeof(buffer), &title) ? title_role(title) : ROLE_NONE;
}

void processes_find(struct processes *processes, pid_t named)
{
	struct proc_numbers numbers;
	long pid;
	processes->count = 0;
	if (!proc_numbers_open(&numbers, "/proc"))
		return;
	while (processes->count < PROCESSES_AT_MOST && proc_numbers_next(&numbers, &pid)) {
		enum role role = role_of((pid_t)pid, pid == named);
		if (role != ROLE_NONE && !namespace_is_other((pid_t)pid, "ns/net"))
			processes->list[processes->count++] = (struct process){(pid_t)pid, role};
	}
	proc_numbers_close(&numbers);
}

void processes_again(struct processes *processes)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < processes->count; i++) {
		struct process process = processes->list[i];
		process.role = role_of(process.pid, process.role == ROLE_MASTER);
		if (process.role != ROLE_NONE)
			processes->list[kept++] = process;
	}
	processes->count = kept;
}

unsigned processes_with(const struct processes *processes, enum role role)
{
	unsigned count = 0;
	for (unsigned i = 0; i < processes->count; i++)
		count += processes->list[i].role == role;
	return count;
}
