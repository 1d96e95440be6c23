/* Recognises nginx's processes by their titles. */
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
	return proc_read_of(pid, "comm", buffer, sizeof(buffer), &name) && span_is(name, "nginx\n");
}

/* The first fields are enough. */
static struct span read_stat(pid_t pid, char *buffer, size_t size)
{
	struct span stat;
	return proc_read_of(pid, "stat", buffer, size, &stat) ? stat : (struct span){buffer, 0};
}

uint64_t process_used(pid_t pid)
{
	char buffer[512];
	struct span stat = read_stat(pid, buffer, sizeof(buffer));
	return proc_stat(stat, STAT_USER) + proc_stat(stat, STAT_SYSTEM);
}

static void read_origin(struct process *process)
{
	char buffer[512];
	struct span stat = read_stat(process->pid, buffer, sizeof(buffer));
	process->parent = (pid_t)proc_stat(stat, STAT_PARENT);
	process->started = proc_stat(stat, STAT_STARTED);
}

bool process_is_named_master(pid_t pid)
{
	char buffer[64];
	struct span title;
	/* Empty: a zombie. */
	if (!process_title(pid, buffer, sizeof(buffer), &title) || !title.size)
		return false;
	struct span part = title_part(title);
	if (part.size)
		return span_starts(part, "master process");
	struct process process = {.pid = pid};
	read_origin(&process);
	return is_called_nginx(pid) && !is_called_nginx(process.parent);
}

static enum role role_of(pid_t pid, bool named)
{
	char buffer[64];
	struct span title;
	if (named)
		return process_is_named_master(pid) ? ROLE_MASTER : ROLE_NONE;
	return process_title(pid, buffer, sizeof(buffer), &title) ? title_role(title) : ROLE_NONE;
}

void process_read(struct process *process, bool named)
{
	process->role = role_of(process->pid, named);
	if (process->role != ROLE_NONE)
		read_origin(process);
}

void processes_find(struct processes *processes, pid_t named)
{
	struct proc_numbers numbers;
	long pid;
	processes->count = 0;
	if (!proc_numbers_open(&numbers, "/proc"))
		return;
	while (processes->count < PROCESSES_AT_MOST && proc_numbers_next(&numbers, &pid)) {
		struct process *process = &processes->list[processes->count];
		*process = (struct process){.pid = (pid_t)pid};
		process_read(process, pid == named);
		processes->count +=
			process->role != ROLE_NONE && !namespace_is_other((pid_t)pid, "ns/net");
	}
	proc_numbers_close(&numbers);
}

bool processes_called_nginx(void)
{
	struct proc_numbers numbers;
	long pid;
	bool found = false;
	if (!proc_numbers_open(&numbers, "/proc"))
		return true;
	while (!found && proc_numbers_next(&numbers, &pid))
		found = is_called_nginx((pid_t)pid) && !namespace_is_other((pid_t)pid, "ns/net");
	proc_numbers_close(&numbers);
	return found;
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
