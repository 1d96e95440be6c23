"""The requirements of source `core`: BTF, libbpf, and kernel features. Features are tried, not
looked up by version, since distributions backport them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status
from drainmon.kernel import verifier
from drainmon.kernel.btf import BTF, Behaviour, read_behaviour
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.probe import AttachType, Features, Helper, MapType
from drainmon.kernel.programs import OBJECT

_TRACEPOINT = (AttachType.TRACE_RAW_TP, "inet_sock_set_state")
_ITERATOR = (AttachType.TRACE_ITER, "tcp")
_STORAGE = Helper.SK_STORAGE_GET
_BTF_NAMES = {
    "tracepoint": ("btf_trace_inet_sock_set_state", "5.5"),
    "iter/tcp": ("bpf_iter_tcp", "5.9"),
    "iter/bpf_map_elem": ("bpf_iter_bpf_map_elem", "5.9"),
}
_Feature = tuple[str, str, Callable[[Features], bool]]
_MAPS: tuple[_Feature, ...] = (
    ("ring buffer", "5.8", lambda kernel: kernel.has_map_type(MapType.RINGBUF)),
    ("socket storage", "5.2", lambda kernel: kernel.has_map_type(MapType.SK_STORAGE)),
)
_PROGRAMS: tuple[_Feature, ...] = (
    ("tp_btf program", "5.5", lambda kernel: kernel.has_target(*_TRACEPOINT)),
    ("iter program", "5.9", lambda kernel: kernel.has_target(*_ITERATOR)),
    ("storage in tp_btf", "5.11", lambda kernel: kernel.has_helper(*_TRACEPOINT, _STORAGE)),
    ("storage in iter", "5.11", lambda kernel: kernel.has_helper(*_ITERATOR, _STORAGE)),
)
_MAGIC = (b"\x9f\xeb", b"\xeb\x9f")  # linux/btf.h, of either byte order

_fact = partial(Fact, Group.CORE)


def _kernel_has(name: str, there: bool, since: str) -> Fact:
    if there:
        return _fact(name, Status.OK, "there")
    return _fact(name, Status.MISSING, "not in this kernel", f"needs kernel {since} or a backport")


def object_file(path: Path = OBJECT) -> Fact:
    if path.is_file():
        return _fact("programs", Status.OK, str(path))
    return _fact("programs", Status.MISSING, f"no {path}", "make build")


def btf(root: Path) -> Iterator[Fact]:
    """The kernel's types, and in them what the programs attach to."""
    try:
        types = (root / BTF.relative_to("/")).read_bytes()
        why = "" if types[:2] in _MAGIC else f"{BTF} has another format"
    except OSError as error:
        types, why = b"", f"{BTF}: {error.strerror}"
    if why:
        advice = "needs a kernel with CONFIG_DEBUG_INFO_BTF, and /sys in the container"
        yield _fact("BTF", Status.MISSING, why, advice)
        return
    yield _fact("BTF", Status.OK, f"{BTF}, {len(types) >> 10} KB")
    for name, (symbol, since) in _BTF_NAMES.items():
        yield _kernel_has(name, b"\0" + symbol.encode() + b"\0" in types, since)


def features(no_types: bool) -> Iterator[Fact]:
    """The features of libbpf and the kernel. When a trial load of the programs succeeds, all are
    there; otherwise each is tried. Without BTF, features of tracing programs cannot be tried."""
    try:
        kernel = Features()
    except OSError as error:
        advice = "install Debian's libbpf1, version 1.0 or later"
        yield _fact("libbpf", Status.MISSING, f"{error}", advice)
        return
    yield _fact("libbpf", Status.OK, kernel.version)
    trial = trial_load()
    if trial.status != Status.OK and (why := kernel.refusal()):
        advice = "check capabilities and the container's seccomp profile; features are unknown"
        yield _fact("bpf(2)", Status.MISSING, f"the kernel refuses: {why}", advice)
    else:
        for name, since, there in _MAPS if no_types else _MAPS + _PROGRAMS:
            yield _kernel_has(name, trial.status == Status.OK or there(kernel), since)
    if trial.status == Status.OK:
        yield from behaviour(read_behaviour())
    yield trial


def behaviour(kernel: Behaviour) -> Iterator[Fact]:
    """How exact a pass over a pod's sockets is that takes several reads, and how exact counters
    are."""
    if kernel.whole_passes:
        yield _fact("large passes", Status.OK, "list each socket once")
    else:
        found = "the kernel may skip a socket of more than 455: a drain ends after two that agree"
        yield _fact("large passes", Status.NOTE, found)
    if kernel.preemptible:
        found = "of tracing programs: a second one counts the changes that are dropped"
        yield _fact("preemption", Status.OK, found)


def trial_load(path: Path = OBJECT) -> Fact:
    """Whether the programs can be loaded and attached; detaches them at once."""
    try:
        Conntrack(lambda *_: None, path).close()
    except OSError as error:
        why = error.strerror or str(error)
        if lines := verifier.explanation(error):
            why += f"; the verifier: {' | '.join(lines)}"
        advice = "see above, or the whole log: drainmon daemon --source core --log-level debug"
        return _fact("trial load", Status.MISSING, why, advice)
    return _fact("trial load", Status.OK, "loaded and attached")
