"""The examples' hooks, run in a pod; the examples' units, read by systemd."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.rig.daemon import running_daemon
from bench.rig.netns import fresh_netns
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

COMPOSE = FOLDER / "examples" / "compose.yaml"
UNIT = FOLDER / "examples" / "drainmon.service"
DROP_IN = FOLDER / "examples" / "nginx-drain.conf"


def hooks() -> Iterator[tuple[str, list[str]]]:
    """Every preStop command of the examples, by file and container."""
    for path in EXAMPLES:
        for document in load(path.read_text()):
            if path == COMPOSE:
                for name, service in document["services"].items():
                    for hook in service.get("pre_stop", ()):
                        yield f"{path.name}: {name}", hook["command"]
            elif "template" in document.get("spec", {}):
                for one_container in pod_spec(document)["containers"]:
                    hook = one_container["lifecycle"]["preStop"]["exec"]
                    yield f"{path.name}: {one_container['name']}", hook["command"]


def hurried(command: list[str]) -> list[str]:
    """The same without the seconds that it waits for the news to spread."""
    if command[0] == "sh":
        return ["/bin/sh", "-c", command[2].replace('"min_wait": 5', '"min_wait": 0, "quiet": 0.1')]
    return [*command, "--min-wait", "0.1s", "--quiet", "0.1s", "--no-pod-log"]


@pytest.mark.root
def test_every_hook_drains(tmp_path: Path) -> None:
    # All in one pod, at once: they share its drain.
    with fresh_netns("drainmon-client") as here, FakePod(here) as pod:
        folder = pod.directory / "run" / "drainmon"
        folder.mkdir()
        shutil.copy(CLIENT, folder)
        with running_daemon(DAEMON, folder / "drainmon.sock", tmp_path / "log"):
            running = {name: pod.exec(hurried(command)) for name, command in hooks()}
            assert len(running) == 8
            for name, process in running.items():
                status, output = finish(process)
                assert status == 0, f"{name}: {output}"
                if name.startswith("nginx-curl"):
                    assert json.loads(output.splitlines()[-1])["result"] == "drained"


def test_clients_know_the_nodes_address() -> None:
    """A variable that is named in another one must stand before it."""
    told = 0
    for path in set(EXAMPLES) - {COMPOSE}:
        for document in load(path.read_text()):
            if "template" not in document.get("spec", {}):
                continue
            for one in pod_spec(document)["containers"]:
                if one["lifecycle"]["preStop"]["exec"]["command"][0].endswith("drainmon-wait"):
                    names = [variable["name"] for variable in one["env"]]
                    host, address = one["env"][-2:]
                    assert names[-2:] == ["HOST_IP", "DRAINMON_NODE_ADDRESS"]
                    assert host["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
                    assert address["value"] == "$(HOST_IP),gateway"
                    told += 1
    assert told == 6


def test_compose_gives_the_daemon_what_the_daemonset_does() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    daemon = rendered_daemon("base")
    assert services["drainmon"]["cap_add"] == capabilities(daemon)
    assert services["drainmon"]["image"] == daemon["image"]
    assert services["drainmon"]["command"] == daemon["args"]
    assert services["web"]["volumes"] == ["run:/run/drainmon:ro"]


def test_the_unit_gives_the_daemon_what_the_daemonset_does() -> None:
    daemon = rendered_daemon("base")
    names = " ".join(f"CAP_{name}" for name in capabilities(daemon))
    assert f"\nCapabilityBoundingSet={names}\n" in UNIT.read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("unit", ["drainmon.service", "nginx.service"])
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
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
