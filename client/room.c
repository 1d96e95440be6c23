/* A reload holds two configurations in memory at once: at the container's limit the kernel would
 * kill nginx. A limit that cannot be read counts as none. */
#include "room.h"
#include "proc.h"
#include "procnet.h"
#include <string.h>

static const struct version {
	const char *mount, *limit, *usage, *inactive;
} versions[] = {
	{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes",
	 "total_inactive_file"},
	{"/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file"},
};

/* "5:memory:/kubepods/..." and "0::/kubepods/...". */
bool room_cgroup(struct span text, bool v2, struct span *path)
{
	struct span line;
	while (procnet_line(&text, &line)) {
		const char *colon = memchr(line.at, ':', line.size);
		const char *slash = colon ? memchr(line.at, '/', line.size) : NULL;
		if (!slash)
			continue;
		struct span controllers = {colon, (size_t)(slash - colon)};
		*path = (struct span){slash, line.size - (size_t)(slash - line.at)};
		if (v2 ? span_is(controllers, "::") : span_has(controllers, "memory"))
			return true;
	}
	return false;
}

static bool read_in(struct text *folder, const char *name, char *buffer, size_t size,
		    struct span *content)
{
	size_t used = folder->used;
	text_add(folder, name);
	bool read = proc_read(folder->at, buffer, size, content);
	folder->used = used;
	return read;
}

static bool read_number(struct text *folder, const char *name, uint64_t *number)
{
	char buffer[32];
	struct span content, word;
	return read_in(folder, name, buffer, sizeof(buffer), &content) &&
	       span_word(&content, &word) && span_number(word, number);
}

static uint64_t room_in(const struct version *version, struct text *folder)
{
	static char buffer[8 * 1024];
	struct span content;
	uint64_t limit, usage, inactive = 0;
	if (!read_number(folder, version->limit, &limit) ||
	    !read_number(folder, version->usage, &usage))
		return UINT64_MAX;
	if (read_in(folder, "/memory.stat", buffer, sizeof(buffer), &content))
		procnet_value(content, version->inactive, &inactive);
	usage -= inactive < usage ? inactive : usage;
	return limit > usage ? limit - usage : 0;
}

/* In a container, the path of the outermost cgroup may lead to its own. */
static uint64_t room_below(const struct version *version, struct span path)
{
	char bytes[512];
	uint64_t least = UINT64_MAX;
	for (;;) {
		while (path.size && path.at[path.size - 1] == '/')
			path.size--;
		struct text folder = TEXT_IN(bytes);
		text_add(&folder, version->mount);
		for (size_t i = 0; i < path.size; i++)
			text_char(&folder, path.at[i]);
		uint64_t room = room_in(version, &folder);
		if (room < least)
			least = room;
		if (!path.size)
			return least;
		while (path.size && path.at[path.size - 1] != '/')
			path.size--;
	}
}

static uint64_t anonymous(pid_t pid)
{
	char buffer[2048];
	struct span status;
	uint64_t kilobytes;
	return proc_read_of(pid, "status", buffer, sizeof(buffer), &status) &&
			       procnet_value(status, "RssAnon:", &kilobytes)
		       ? kilobytes * 1024
		       : 0;
}

bool room_for_reload(const struct processes *processes, pid_t master, struct text *why)
{
	static char buffer[4096];
	struct span text = {buffer, 0}, path;
	uint64_t room = UINT64_MAX, need = anonymous(master);
	for (unsigned i = 0; i < processes->count; i++)
		if (processes->list[i].parent == master && processes->list[i].role == ROLE_WORKER)
			need += anonymous(processes->list[i].pid);
	proc_read_of(master, "cgroup", buffer, sizeof(buffer), &text);
	for (int v2 = 0; v2 < 2; v2++) {
		uint64_t one =
			room_cgroup(text, v2, &path) ? room_below(&versions[v2], path) : UINT64_MAX;
		if (one < room)
			room = one;
	}
	if (need <= room)
		return true;
	text_add(why, "no memory for a second configuration: nginx has ");
	text_number(why, need >> 20);
	text_add(why, " MiB, ");
	text_number(why, room >> 20);
	text_add(why, " MiB are left");
	return false;
}
