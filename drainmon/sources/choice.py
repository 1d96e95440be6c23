"""Chooses the source: the one of --source, or the best that this host can run."""

import logging
from collections.abc import Mapping
from functools import partial

from drainmon import AUTO, SOURCES
from drainmon.sources.base import PROBE_PROCESSES, Listeners, MakeSource, Source

log = logging.getLogger(__name__)


def _core(
    listeners: Listeners,
    names: tuple[str, ...],
    probe_processes: tuple[str, ...],
    host: frozenset[int],
) -> Source:
    from drainmon.sources.core import CoreSource  # noqa: PLC0415 - only what is chosen is loaded

    return CoreSource(listeners, names, probe_processes, host)


def _bcc(
    listeners: Listeners,
    names: tuple[str, ...],
    probe_processes: tuple[str, ...],
    host: frozenset[int],
) -> Source:
    from drainmon.sources.bcc import BccSource  # noqa: PLC0415

    return BccSource(listeners, names, probe_processes, host)


def _procfs(listeners: Listeners, probe_processes: tuple[str, ...], host: frozenset[int]) -> Source:
    from drainmon.sources.procfs import ProcfsSource  # noqa: PLC0415

    return ProcfsSource(listeners, probe_processes, host)


def sources(
    names: tuple[str, ...],
    probe_processes: tuple[str, ...] = (),
    host: frozenset[int] = frozenset(),
) -> Mapping[str, MakeSource]:
    """The sources by name, best first. Listeners of processes with `names` are announced; probes
    come from processes named in `probe_processes` in the namespaces `host`."""
    makers: dict[str, MakeSource] = {
        "core": partial(_core, names=names, probe_processes=probe_processes, host=host),
        "bcc": partial(_bcc, names=names, probe_processes=probe_processes, host=host),
        "procfs": partial(_procfs, probe_processes=probe_processes, host=host),
    }
    return {name: makers[name] for name in SOURCES}


MAKERS = sources(("nginx",), PROBE_PROCESSES)


def candidates(wanted: str) -> list[str]:
    """The sources to try, in order; a named source is tried alone."""
    return list(SOURCES) if wanted == AUTO else [wanted]


async def start_first(
    names: list[str], listeners: Listeners, make: Mapping[str, MakeSource] = MAKERS
) -> tuple[Source, dict[str, str]]:
    """Start the first of the named sources that this host can run. Returns it, and why each one
    before it failed. Raises OSError with all reasons when none can run."""
    refused: dict[str, str] = {}
    for name in names:
        try:
            source = await _start(make[name], listeners)
        except OSError as error:
            refused[name] = error.strerror or str(error)
            log.info("cannot use source", extra={"source": name, "error": refused[name]})
        else:
            return source, refused
    raise OSError("; ".join(refused.values()))


async def _start(make: MakeSource, listeners: Listeners) -> Source:
    source = make(listeners)
    try:
        await source.start()
    except BaseException:
        source.close()
        raise
    return source
