"""All facts, in the order in which they are shown. Changes nothing on the host."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from drainmon.facts import bcc, capabilities, core, host, procfs, serving, ways_in
from drainmon.facts.fact import Fact, Group, Status


def survey(
    environment: Mapping[str, str],
    socket: Path,
    pod_logs: Path,
    names: frozenset[str],
    ask: ways_in.Ask,
    root: Path = Path("/"),
) -> Iterator[Fact]:
    """The facts about the host whose folders are below `root`; trials run on this host. `socket` is
    absolute, `names` are nginx's process names."""
    kernel = host.kernel(root)
    yield kernel
    if kernel.status != Status.OK:  # no /proc: nothing else can be said
        return
    caps = capabilities.effective(root)
    yield capabilities.held(caps)
    yield host.pid_namespace(root)
    yield host.processes(root, caps, names)
    yield host.cgroups(root)

    yield core.object_file()
    types = tuple(core.btf(root))
    yield from types
    yield capabilities.to_trace(Group.CORE, caps)
    yield capabilities.to_enter(caps)
    yield from core.features(no_types=types[0].status != Status.OK)

    yield bcc.package(bcc.locate())
    yield bcc.library(root)
    yield bcc.headers(root, host.release(root), environment)
    yield bcc.tracepoint(root)
    yield capabilities.to_trace(Group.BCC, caps)

    yield procfs.tables(root)
    yield procfs.sock_diag()

    yield serving.pod_logs(pod_logs, host.has_kubelet(root))
    yield serving.socket_folder(root, socket)
    yield serving.file_system(root, socket)

    def look() -> dict[str, bool]:
        return ways_in.look_at_mounts(socket.parent, names, pod_logs)

    yield ways_in.folder_in_pods(caps, look)
    daemon = serving.daemon(ask, socket)
    yield daemon
    if daemon.status == Status.OK:
        yield ways_in.ways_in(ask)
