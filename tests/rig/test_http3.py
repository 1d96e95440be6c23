"""The HTTP/3 clients of the load: no false loss, and every real loss is seen."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rig.clients import LoadSpec
from bench.rig.http3.goaway import ServerStreams
from bench.rig.http3.pod import NGINX, PORT, http3_pod
from bench.rig.netns import Netns
from bench.rig.outcome import Kind
from bench.rig.pod import FakePod
from bench.rig.traffic import Traffic
from tests.waiting import eventually

needs_http3 = pytest.mark.skipif(not NGINX.exists(), reason="needs `make build/nginx-http3`")

LOAD = LoadSpec(
    port=PORT, http3=True, short_rate=20, short_clients=4, keep_alive=2, endless=2,
    slow_readers=4, slow_upstream=1, slow_stagger=0.5, propagation=0.3,
)  # fmt: skip
KINDS = [kind for kind in Kind if kind is not Kind.STREAM]


@contextmanager
def loaded(client: Netns, host_key: bool = False) -> Iterator[tuple[FakePod, Traffic]]:
    """A pod under load, once clients of every kind have been served."""
    with http3_pod(client, file_bytes=300_000, host_key=host_key) as made:
        load = replace(LOAD, address=made.address, upstream_port=made.upstream_port)
        with Traffic(client, load) as traffic:
            eventually(lambda: all(traffic.totals.requests(kind) for kind in KINDS))
            yield made, traffic


@pytest.mark.root
@needs_http3
def test_the_load_counts_the_requests_that_nginx_served(client: Netns) -> None:
    with loaded(client) as (pod, traffic):
        traffic.stop()
        totals = traffic.wait()
        served = (pod.directory / "access.log").read_text().splitlines()
    assert totals.lost() == 0, traffic.losses
    assert totals.requests() == sum('HTTP/3.0" 200 ' in line for line in served)
    assert totals.requests(Kind.SLOW_READER) == sum("/file" in line for line in served)


@pytest.mark.root
@needs_http3
def test_the_load_sees_losses_of_every_kind(client: Netns) -> None:
    with loaded(client) as (pod, traffic):
        traffic.terminate()
        pod.terminate(stop_signal=signal.SIGTERM)
        traffic.gone()
        totals = traffic.wait()
    assert totals.lost(Kind.SLOW_READER) >= LOAD.slow_readers
    assert totals.lost(Kind.ENDLESS) >= LOAD.endless
    assert totals.lost(Kind.SLOW_UPSTREAM) >= LOAD.slow_upstream


@pytest.mark.root
@needs_http3
def test_a_stateless_reset_ends_a_connection(client: Netns) -> None:
    """With quic_host_key, the workers of a reload send stateless resets to earlier clients."""
    with loaded(client, host_key=True) as (pod, traffic):
        os.kill(pod.master_pid, signal.SIGHUP)
        eventually(lambda: any("stateless reset" in loss["what"] for loss in traffic.losses))


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, len(payload)]) + payload


@given(st.lists(st.integers(1, 40)))
def test_a_goaway_is_found_however_the_control_stream_is_split(cuts: list[int]) -> None:
    settings, goaway = frame(4, b"\x01\x00"), frame(7, b"\x40\xc8")
    data = b"\x00" + settings + goaway
    streams = ServerStreams()
    streams.feed(7, b"\x02" + goaway)  # the QPACK encoder's: no frames
    assert streams.goaway is None
    while data:
        size = cuts.pop() if cuts else len(data)
        streams.feed(3, data[:size])
        data = data[size:]
    assert streams.goaway == 200
