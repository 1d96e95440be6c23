#ifndef DRAINMON_PROC_H
#define DRAINMON_PROC_H

#include "text.h"
#include <sys/types.h>

/* "/proc/17/stat"; pid 0 means this process: "/proc/self/stat". */
void proc_path(struct text *path, pid_t pid, const char *name);

/* Opens for reading without blocking (the path may be a FIFO). */
int proc_open(const char *path);

/* The beginning of a file, as much as fits; false sets errno. */
bool proc_read(const char *path, char *buffer, size_t size, struct span *content);

/* The same of a process's file: "stat" of /proc/17. */
bool proc_read_of(pid_t pid, const char *name, char *buffer, size_t size, struct span *content);

/* Walks the numbers that are names in a directory: pids of /proc, descriptors of /proc/17/fd. */
struct proc_numbers {
	int fd;
	long used;
	long at;
	_Alignas(8) char entries[4096];
};
bool proc_numbers_open(struct proc_numbers *numbers, const char *path);
bool proc_numbers_next(struct proc_numbers *numbers, long *number);
void proc_numbers_close(struct proc_numbers *numbers);

/* The positive decimal number in a text, with white space at its end only; 0: it is none. */
long proc_number(struct span text);

/* The number from a place in a link's target up to the bracket that closes it: "socket:[1234]" from
 * 8 is 1234; 0: there is none. */
uint64_t proc_bracketed(struct span link, size_t from);

/* Fields of /proc/<pid>/stat, as proc_pid_stat(5) numbers them; times are in USER_HZ, which is 100
 * wherever nginx runs. */
enum { STAT_NAME = 2, STAT_PARENT = 4, STAT_USER = 14, STAT_SYSTEM = 15, STAT_STARTED = 22 };
/* The number in a field behind the name; 0: there is none. */
uint64_t proc_stat(struct span stat, unsigned field);

#endif
