"""nginx whose listener was made in another netns: connections elsewhere are waited for."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig import nginx as nginx_binaries
from bench.rig.netns import Netns
from tests.client.long_download import (
    FILE_BYTES,
    download,
    folder,
    hook,
    serving,
    sidecar,
)
from tests.client.rolling import rest
from tests.client.run import wait_until
from tests.e2e.plain_nginx import PlainNginx

__all__ = ["folder", "sidecar"]

pytestmark = pytest.mark.root


@pytest.fixture
def activated(pod_netns: Netns, outside: Netns, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An nginx whose listener was made in another netns, as systemd does for podman."""
    config, log = folder / "nginx.conf", folder / "log"
    listen = serving(8080, folder).replace("8080", "0.0.0.0:8080")
    config.write_text(
        f"daemon off; user root; pid {folder}/pid; error_log stderr notice; events {{}}"
        f" http {{ access_log off; server {{ {listen} }} }}\n"
    )
    with ExitStack() as stack:
        listener = stack.enter_context(outside.socket())
        listener.bind(("0.0.0.0", 8080))  # noqa: S104 - of the other netns
        listener.listen()
        number = listener.fileno()
        process = subprocess.Popen(
            pod_netns.command([str(nginx_binaries.choose()), "-e", "stderr", "-c", str(config)]),
            pass_fds=[number],
            env={**os.environ, "NGINX": f"{number};"},
            stderr=stack.enter_context(log.open("wb")),
        )
        wait_until((folder / "pid").exists, "nginx")
        yield process
        if process.poll() is None:
            process.terminate()
        process.wait()


@pytest.mark.parametrize("quits", [False, True])
def test_drain_waits_for_connections_in_another_netns(
    pod_netns: Netns,
    outside: Netns,
    client: Path,
    activated: subprocess.Popen[bytes],
    quits: bool,
) -> None:
    with download(outside) as going_on:
        waiting = hook(pod_netns, client, "--no-roll")
        first = waiting.line(*(f"{p}, 1 in flight (elsewhere 1)" for p in ("settling", "waiting")))
        if quits:
            activated.send_signal(signal.SIGQUIT)
        if first.startswith("settling"):  # a busy machine may miss that phase
            waiting.line("waiting, 1 in flight (elsewhere 1)")
        assert rest(going_on) > FILE_BYTES
    ended = waiting.end()
    assert ended.status == 0, ended.output
    assert " 0 in flight" in ended.last


def test_a_sidecar_beside_an_inherited_listener_is_not_counted(
    pod_netns: Netns, client: Path, activated: subprocess.Popen[bytes], sidecar: socket.socket
) -> None:
    waiting = hook(pod_netns, client, "--no-roll", "--verbose")
    assert waiting.line("counts on the ports") == "counts on the ports (none)"
    assert waiting.end().status == 0


def test_sockets_of_this_netns_do_not_count_as_elsewhere(
    pod_netns: Netns, client: Path, folder: Path
) -> None:
    """Listeners of every kind, and a connection that must be counted once."""
    main = "stream { server { listen 8053 udp reuseport; proxy_pass 127.0.0.1:9; } }"
    listen = f"listen unix:{folder}/web.sock; {serving(8080, folder)} listen [::]:8080;"
    nginx = PlainNginx(pod_netns, folder / "n", listen=listen, main=main)
    try:
        with download(pod_netns) as going_on:
            waiting = hook(pod_netns, client, "--no-roll")
            waiting.counts("1 in flight (ESTABLISHED 1)")
            rest(going_on)
        assert waiting.end().status == 0
    finally:
        nginx.close()
