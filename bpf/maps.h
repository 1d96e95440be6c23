/* SPDX-License-Identifier: GPL-2.0 */
/* Every map of the programs: who fills it, who empties it, who reads it. */
#ifndef DRAINMON_MAPS_H
#define DRAINMON_MAPS_H

/*
 * Counters of every port that ever listened.
 * Inserted by: a port that begins to listen (tracepoint), or is found
 * listening (iterator); again, from zero, when the namespace is another one
 * with the same inode. Deleted by: user space, when no process is in the
 * namespace any more (sockets that outlive it then find nothing to change), or
 * the port is no pod's, does not listen and has no connections.
 * Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct port_key);
	__type(value, struct port_counters);
} ports SEC(".maps");

/*
 * Ports for whose changes user space wants to be woken.
 * Inserted, deleted and set back by: user space. Set by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* as many as ports: it cannot be the first to be full */
	__type(key, struct port_key);
	__type(value, struct watch);
} watches SEC(".maps");

/*
 * The entry of each accepted connection, kept in the socket itself: it cannot
 * outlive the socket nor be mistaken for another's.
 * Inserted by: tracepoint and iterator. Deleted by: CLOSE, or with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/*
 * Names of the processes whose connections are probes.
 * Inserted by: user space. Read by: the tracepoint, the iterator of files.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct process_name);
	__type(value, __u32);
} probing_processes SEC(".maps");

/*
 * Connecting sockets of such processes, from SYN_SENT on, and by what their other end will know
 * them. Inserted by: tracepoint and iterator of files. Deleted by: CLOSE, or with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct handshake);
} probing SEC(".maps");

/*
 * Handshakes of the sockets in `probing` whose other end has not been seen; it may be on another
 * node. Inserted by: tracepoint (the connecting end becomes ESTABLISHED) and iterator of files.
 * Deleted by: the tracepoint, when the accepting end is found, or the connecting one closes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct handshake);
	__type(value, __u32);
} handshakes SEC(".maps");

/*
 * Peers that drains ignore -> 1, or 0 for an exception from a shorter prefix.
 * Inserted and deleted by: user space. Read by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct peer_key);
	__type(value, __u32);
} ignored_peers SEC(".maps");

struct control control; /* its map is .bss */

/* struct event. Filled by: the tracepoint. Read by: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* What could not be recorded, by enum lost_place. Read by: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_PLACES);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

#endif
