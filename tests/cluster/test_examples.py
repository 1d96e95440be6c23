"""The examples' hooks, run in a pod; the examples' units, read by systemd."""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from bench.rig import nginx as nginx_binaries
from bench.rig.daemon import running_daemon
from bench.rig.netns import Netns, fresh_netns
from bench.rig.pod import FakePod
from tests.cluster.manifests import (
    EXAMPLES,
    FOLDER,
    capabilities,
    load,
    pod_spec,
    rendered_daemon,
)
from tests.e2e.harness import CLIENT, DAEMON, finish
from tests.waiting import eventually

COMPOSE = FOLDER / "examples" / "compose.yaml"
UNIT = FOLDER / "examples" / "drainmon.service"
DROP_IN = FOLDER / "examples" / "nginx-drain.conf"


class Hook(NamedTuple):
    """A preStop hook of an example: `name` is its file and container, `mounts` the folder of the
    daemon's socket, `handler` the preStop handler."""

    name: str
    mounts: bool
    handler: dict[str, Any]


def hooks() -> Iterator[Hook]:
    for path in EXAMPLES:
        for document in load(path.read_text()):
            if path == COMPOSE:
                for name, service in document["services"].items():
                    for handler in service.get("pre_stop", ()):
                        yield Hook(f"{path.name}: {name}", True, {"exec": handler})
            elif "template" in document.get("spec", {}):
                spec = pod_spec(document)
                mounts = any("hostPath" in volume for volume in spec.get("volumes", ()))
                for one_container in spec["containers"]:
                    handler = one_container["lifecycle"]["preStop"]
                    yield Hook(f"{path.name}: {one_container['name']}", mounts, handler)


def hurried(hook: Hook, socket: str) -> list[str]:
    """The hook's command without its settling times; without a mount, with this test's own abstract
    socket."""
    command = hook.handler["exec"]["command"]
    if command[0] == "sh":
        script = command[2].replace('"min_wait": 5', '"min_wait": 0, "quiet": 0.1')
        script = script.replace("-socket drainmon", f"-socket {socket}")
        return ["/bin/sh", "-c", script.replace("sleep 15", "echo slept")]
    quick = ["--min-wait", "0.1s", "--quiet", "0.1s", "--no-pod-log"]
    if hook.mounts:
        return [*command, *quick]
    return [str(CLIENT), *command[1:], "--socket", f"@{socket}", *quick]


@pytest.fixture
def name() -> str:
    """The name of an abstract socket that no other test's daemon has."""
    return f"drainmon-{secrets.token_hex(3)}"


@pytest.mark.root
def test_every_example_hook_drains(name: str, tmp_path: Path) -> None:
    # All in one pod, at once: they share its drain. The daemon is in the clients' namespace: its
    # addresses are the node's, which may use the pod's port.
    nginx = tmp_path / f"n{secrets.token_hex(4)}"  # unknown to any other test's daemon
    shutil.copy(nginx_binaries.choose(), nginx)
    with fresh_netns("drainmon-client") as here, FakePod(here, nginx=nginx) as pod:
        folder = pod.directory / "run" / "drainmon"
        folder.mkdir()
        shutil.copy(CLIENT, folder)
        program = tmp_path / "daemon"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(here.command([str(DAEMON)]))} "$@"\n')
        program.chmod(0o755)
        found = list(hooks())
        asked = [hook for hook in found if "httpGet" in hook.handler]
        run = [hook for hook in found if "exec" in hook.handler]
        (port,) = {hook.handler["httpGet"]["port"] for hook in asked}
        flags = ["--process", nginx.name, "--in-pod-socket", name, "--in-pod-port", str(port)]
        with running_daemon(program, folder / "drainmon.sock", tmp_path / "log", flags):
            eventually(lambda: ways_in(here, folder) == {f"@{name}", f"port {port}"})
            running = {hook.name: pod.exec(hurried(hook, name)) for hook in run}
            for hook in asked:
                url = f"http://{pod.address}:{port}{hook.handler['httpGet']['path']}"
                curl = here.command(["curl", "-sS", f"{url}&min-wait=0.1s&quiet=0.1s"])
                running[hook.name] = subprocess.Popen(curl, stdout=subprocess.PIPE)
            assert len(running) == 10
            for hook_name, process in running.items():
                status, output = finish(process)
                assert status == 0, f"{hook_name}: {output}"
                if hook_name.startswith(("nginx-curl", "nginx-http")):
                    assert json.loads(output)["result"] == "drained"
                else:
                    assert "counting" not in output, hook_name


def ways_in(here: Netns, folder: Path) -> set[str]:
    """The ways into the only known pod without the folder: its /run is the pod's own."""
    curl = ["curl", "-sS", "--unix-socket", str(folder / "drainmon.sock"), "http://d/v1/pods"]
    answer = subprocess.run(here.command(curl), check=True, capture_output=True).stdout
    (pod,) = json.loads(answer)["pods"]
    return {way for way in pod["ways_in"] if not way.startswith("folder")}


@pytest.mark.root
@pytest.mark.parametrize(
    "answer", ["nobody", "no answer", "an answer without a result", "400", "403"]
)
def test_the_curl_hook_waits_without_a_result(answer: str, name: str, tmp_path: Path) -> None:
    """When a hook fails, its pod is stopped at once."""
    (hook,) = (hook for hook in hooks() if hook.name.startswith("nginx-curl"))
    argv = hurried(hook, name)
    head = "HTTP/1.1 {}\r\nConnection: close\r\n\r\n"
    replies = {
        "no answer": "",
        "an answer without a result": head.format("200 OK") + '{"phase":"waiting"}\n',
        "400": head.format("400 Bad Request") + '{"error": "x"}\n',
        "403": head.format("403 Forbidden") + '{"error": "x"}\n',
    }
    with contextlib.ExitStack() as stack:
        if answer in replies:
            stack.enter_context(answering(f"\0{name}", replies[answer].encode()))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, "slept\n")


@pytest.mark.root
def test_the_curl_hook_ends_at_a_deadline(name: str) -> None:
    (hook,) = (hook for hook in hooks() if hook.name.startswith("nginx-curl"))
    result = '{"phase":"done","result":"deadline"}\n'
    reply = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + result
    with answering(f"\0{name}", reply.encode()):
        done = subprocess.run(
            hurried(hook, name), capture_output=True, text=True, check=False, timeout=30
        )
    assert (done.returncode, done.stdout) == (0, result)


@contextlib.contextmanager
def answering(address: str, reply: bytes) -> Iterator[None]:
    """A server that gives the same answer to every client, until the block ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(4096)
                        connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_examples_pass_the_nodes_address_to_the_client() -> None:
    """A variable must come after the variables that it refers to."""
    checked = 0
    for path in set(EXAMPLES) - {COMPOSE}:
        for document in load(path.read_text()):
            if "template" not in document.get("spec", {}):
                continue
            for one in pod_spec(document)["containers"]:
                handler = one["lifecycle"]["preStop"]
                if handler.get("exec", {}).get("command", [""])[0].endswith("drainmon-wait"):
                    names = [variable["name"] for variable in one["env"]]
                    host, address = one["env"][-2:]
                    assert names[-2:] == ["HOST_IP", "DRAINMON_NODE_ADDRESS"]
                    assert host["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
                    assert address["value"] == "$(HOST_IP),gateway"
                    checked += 1
    assert checked == 7


def test_compose_example_matches_the_daemonset() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    daemon = rendered_daemon("base")
    assert services["drainmon"]["cap_add"] == capabilities(daemon)
    assert services["drainmon"]["image"] == daemon["image"]
    assert services["drainmon"]["command"] == daemon["args"]
    assert services["web"]["volumes"] == ["run:/run/drainmon:ro"]


def test_compose_example_names_tools_that_run_no_hook() -> None:
    head = COMPOSE.read_text().partition("services:")[0]
    for word in ("Docker Compose 2.30", "podman-compose", "docker stop"):
        assert word in head
    hook = shlex.join(
        yaml.safe_load(COMPOSE.read_text())["services"]["web"]["pre_stop"][0]["command"]
    )
    assert f"docker exec WEB {hook}; docker stop WEB" in head


def test_unit_example_has_the_daemonsets_capabilities() -> None:
    daemon = rendered_daemon("base")
    names = " ".join(f"CAP_{name}" for name in capabilities(daemon))
    assert f"\nCapabilityBoundingSet={names}\n" in UNIT.read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("unit", ["drainmon.service", "nginx.service"])
def test_systemd_accepts_the_example_units(unit: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.symlink_to("/bin/true")
    nginx = f"[Service]\nType=forking\nExecStart={program}\nExecStop={program}\n"
    (tmp_path / "nginx.service").write_text(nginx)
    folder = tmp_path / "nginx.service.d"
    folder.mkdir()
    for path, place in ((UNIT, tmp_path), (DROP_IN, folder)):
        text = path.read_text().replace("/opt/drainmon/bin/drainmon-wait", str(program))
        text = text.replace("/opt/drainmon/bin/drainmon", str(program))
        (place / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if unit in line or DROP_IN.name in line]
    assert about_ours == []
    assert done.returncode == 0, done.stderr
