#!/bin/sh
# The first program of the arm64 machine (arm64.py), called by /init of its image, which has mounted
# /src. Arguments: the steps of guest.py.
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up
ulimit -n 20000
echo "up after $(cut -d ' ' -f 1 /proc/uptime) s"

# Writes to the tree stay in memory.
mkdir /run/src
mount -t tmpfs src /run/src
mkdir /run/src/new /run/src/work
mount -t overlay -o lowerdir=/src,upperdir=/run/src/new,workdir=/run/src/work src /src
cd /src || exit
rm -f build/drainmon-wait
make --silent build/drainmon-wait || exit
mkdir -p /results
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 results /results
/opt/drainmon/bin/python -m tests.machines.guest /results "$@"
