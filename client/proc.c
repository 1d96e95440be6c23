/* Small files and number-named directories of /proc, without stdio and opendir: both allocate. */
#include "proc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/dirent.h keeps this to the kernel. */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

void proc_path(struct text *path, pid_t pid, const char *name)
{
	text_add(path, "/proc/");
	if (pid)
		text_number(path, (uint64_t)pid);
	else
		text_add(path, "self");
	text_char(path, '/');
	text_add(path, name);
}

int proc_open(const char *path)
{
	return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool proc_read(const char *path, char *buffer, size_t size, struct span *content)
{
	int fd = proc_open(path);
	if (fd < 0)
		return false;
	size_t used = 0;
	ssize_t got = 0;
	while (used < size && (got = read(fd, buffer + used, size - used)) > 0)
		used += (size_t)got;
	int error = errno;
	close(fd);
	errno = error;
	*content = (struct span){buffer, used};
	return got >= 0;
}

bool proc_read_of(pid_t pid, const char *name, char *buffer, size_t size, struct span *content)
{
	char bytes[64];
	struct text path = TEXT_IN(bytes);
	proc_path(&path, pid, name);
	return proc_read(bytes, buffer, size, content);
}

bool proc_numbers_open(struct proc_numbers *numbers, const char *path)
{
	numbers->used = numbers->at = 0;
	numbers->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return numbers->fd >= 0;
}

bool proc_numbers_next(struct proc_numbers *numbers, long *number)
{
	for (;;) {
		if (numbers->at >= numbers->used) {
			numbers->at = 0;
			numbers->used = syscall(SYS_getdents64, numbers->fd, numbers->entries,
						sizeof(numbers->entries));
			if (numbers->used <= 0)
				return false;
		}
		const struct entry *entry = (const struct entry *)(numbers->entries + numbers->at);
		numbers->at += entry->size;
		*number = proc_number(span_of(entry->name));
		if (*number > 0 || strcmp(entry->name, "0") == 0)
			return true;
	}
}

void proc_numbers_close(struct proc_numbers *numbers)
{
	close(numbers->fd);
}

long proc_number(struct span text)
{
	while (text.size && strchr(" \t\r\n", text.at[text.size - 1]) && text.at[text.size - 1])
		text.size--;
	uint64_t number;
	return span_number(text, &number) && number <= INT32_MAX ? (long)number : 0;
}

uint64_t proc_bracketed(struct span link, size_t from)
{
	uint64_t number = 0;
	size_t at = from;
	for (; at < link.size && at < from + 19 && link.at[at] >= '0' && link.at[at] <= '9'; at++)
		number = number * 10 + (uint64_t)(link.at[at] - '0');
	return at < link.size && link.at[at] == ']' ? number : 0;
}

uint64_t proc_stat(struct span stat, unsigned field)
{
	/* The name in parentheses may itself hold parentheses: the last one closes it. */
	const char *close = stat.size ? memrchr(stat.at, ')', stat.size) : NULL;
	struct span word = {NULL, 0};
	uint64_t number;
	if (!close)
		return 0;
	stat = (struct span){close + 1, stat.size - (size_t)(close + 1 - stat.at)};
	for (unsigned at = STAT_NAME; at < field; at++)
		if (!span_word(&stat, &word))
			return 0;
	/* A number at the very end may have lost its last digits. */
	return stat.size && span_number(word, &number) ? number : 0;
}
