/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The maps of the programs: by whom entries are inserted, deleted and read. No pod can
 * fill `ports`: user space inserts, and limits each pod to its share.
 */
#ifndef DRAINMON_MAPS_H
#define DRAINMON_MAPS_H

/*
 * Netns and port of a pod's nginx -> its counters, for each CPU.
 * Inserted, from zero, and deleted by: user space. Counted by: the tracepoint.
 * Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536); /* user space sets it before loading, by the number of CPUs */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, struct port_counters);
} ports SEC(".maps");

/*
 * The first key -> the changes that were counted, for each CPU.
 * Written by: the tracepoint. Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counted_changes);
} counted_changes SEC(".maps");

/*
 * A bit for each port number that is counted in any namespace.
 * Written by: user space. Read by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
} port_numbers SEC(".maps");

/*
 * Ports of draining pods, and LISTENERS -> whether user space was woken.
 * Inserted, deleted and reset by: user space. Set by: the tracepoint.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct port_key);
	__type(value, struct watch);
} watches SEC(".maps");

/*
 * Accepted socket -> its record: for probes, and for connections opened while their
 * port is watched.
 * Inserted by: the tracepoint. Deleted by: the tracepoint (CLOSE), or with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/*
 * Name of a process -> its roles (enum process_role).
 * Inserted by: user space. Read by: the tracepoint, the iterator of files.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct process_name);
	__type(value, __u32);
} processes SEC(".maps");

/*
 * Connecting socket of a probing process, from SYN_SENT on -> its handshake.
 * Inserted by: the tracepoint, the iterator of files. Deleted by: the tracepoint (CLOSE), or with
 * the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct handshake);
} probing SEC(".maps");

/*
 * Handshakes of the sockets in `probing` whose accepting end has not been seen; it may be on
 * another node.
 * Inserted by: the tracepoint (the connecting end becomes ESTABLISHED), the iterator of files.
 * Deleted by: the tracepoint, when the accepting end is found, or the connecting one closes; after
 * a missed event, as least recently used.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct handshake);
	__type(value, __u32);
} handshakes SEC(".maps");

/*
 * Peer that a drain ignores -> 1; 0 for an exception from a shorter prefix.
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
 * Woken keys of `watches`, each once until its reset, so that all fit.
 * Written by: the tracepoint. Read by: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024);
} events SEC(".maps");

/* enum lost_place -> number of lost records. Counted by: the programs. Read by: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOST_PLACES);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

#endif
