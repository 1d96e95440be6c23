/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every map of the programs: who fills it, who empties it, who reads it. No pod can
 * fill `ports` for the others: user space inserts, and gives each its share.
 */
#ifndef DRAINMON_MAPS_H
#define DRAINMON_MAPS_H

/*
 * Counters of the ports of pods' nginx, on each CPU its own.
 * Inserted, from zero, and deleted by: user space. Counted by: the tracepoint.
 * Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries,
	       65536); /* user space sets it before loading, by how many CPUs there are */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, struct port_counters);
} ports SEC(".maps");

/*
 * A bit for each port number that is counted in some namespace.
 * Written by: user space. Read by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
} port_numbers SEC(".maps");

/*
 * For what user space wants to be woken: ports that are being drained, and
 * LISTENERS.
 * Inserted, deleted and set back by: user space. Set by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, struct watch);
} watches SEC(".maps");

/*
 * What is remembered of a connection, in its socket: of probes' that they are, and,
 * while its port is watched, when it was opened. No other has an entry.
 * Inserted by: the tracepoint. Deleted by: CLOSE, or with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/*
 * Names of processes -> what is to be known of those who have them (enum process_role).
 * Inserted by: user space. Read by: the tracepoint, the iterator of files.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct process_name);
	__type(value, __u32);
} processes SEC(".maps");

/*
 * Connecting sockets of probing processes, from SYN_SENT on, and by what their other end will know
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
 * Deleted by: the tracepoint, when the accepting end is found, or the connecting one closes; where
 * that was missed, as the one that was longest of no use.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
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
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct peer_key);
	__type(value, __u32);
} ignored_peers SEC(".maps");

struct control control; /* its map is .bss */

const volatile struct host host = {.tick_ns = 4000000, .cpus = 1}; /* its map is .rodata */

/*
 * Keys of `watches` that were woken: each once until it is set back, so that there is room for
 * all. Filled by: the tracepoint. Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/* What could not be recorded, by enum lost_place. Read by: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_PLACES);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

#endif
