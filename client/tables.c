/* Lines of /proc/self/net (proc_pid_net(5)): parsing is pure, reading is a stream. */
#include "tables.h"
#include "proc.h"
#include <string.h>
#include <unistd.h>

enum { UNIX_FLAGS = 3, UNIX_STATE = 5, UNIX_PATH = 7 };

bool table_word(struct span line, unsigned index, struct span *word)
{
	bool found = span_word(&line, word);
	while (found && index--)
		found = span_word(&line, word);
	return found;
}

uint64_t table_inode(struct span line, unsigned index)
{
	struct span word;
	uint64_t inode;
	return table_word(line, index, &word) && span_number(word, &inode) ? inode : 0;
}

/* A path may have spaces: it is all that follows. */
static bool take_path(struct span line, struct span *path)
{
	if (!table_word(line, UNIX_PATH, path))
		return false;
	path->size = (size_t)(line.at + line.size - path->at);
	return true;
}

bool table_unix_listens(struct span line, struct span *path)
{
	struct span flags;
	if (!table_word(line, UNIX_FLAGS, &flags) || flags.size != 8 || flags.at[3] != '1')
		return false;
	take_path(line, path);
	return true;
}

bool table_unix_accepted(struct span line, struct span *path)
{
	struct span state;
	return table_word(line, UNIX_STATE, &state) && span_is(state, "03") &&
	       take_path(line, path);
}

struct port_range table_port_range(struct span content)
{
	const char *tab = content.size ? memchr(content.at, '\t', content.size) : NULL;
	struct port_range range = {0};
	if (tab) {
		size_t size = (size_t)(tab - content.at);
		range.first = (unsigned)proc_number((struct span){content.at, size});
		range.last = (unsigned)proc_number((struct span){tab + 1, content.size - size - 1});
	}
	return range.last ? range : (struct port_range){32768, 60999};
}

bool table_walk(const char *name, bool (*line)(void *context, struct span line), void *context,
		millis stop_at)
{
	static char buffer[16 * 1024];
	char bytes[64];
	struct text path = TEXT_IN(bytes);
	text_add(&path, "/proc/self/net/");
	text_add(&path, name);
	int fd = proc_open(bytes);
	if (fd < 0)
		return true;
	size_t used = 0;
	ssize_t got = 0;
	bool more = true;
	while (more && clock_now() < stop_at &&
	       (got = read(fd, buffer + used, sizeof(buffer) - used)) > 0) {
		const char *from = buffer, *end = buffer + used + got, *newline;
		while (more && (newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
			more = line(context, (struct span){from, (size_t)(newline - from)});
			from = newline + 1;
		}
		used = (size_t)(end - from);
		memmove(buffer, from, used);
		if (used == sizeof(buffer)) /* no line is that long */
			used = 0;
	}
	close(fd);
	return more && got == 0;
}
