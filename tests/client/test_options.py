"""Flags and variables: each good and bad form, and which one wins."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainmon.model.ignored import Ignored
from tests.client.fake_daemon import Answer, Conversation, FakeDaemon
from tests.client.library import Library
from tests.client.run import run
from tests.unit.proc_net import packed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--exit-at=-1"], "cannot read --exit-at: '-1' is not a number of connections (try 0)"),
        (["--exit-at=1.5"], "cannot read --exit-at: '1.5' is not a number"),
        (["--exit-at", "99999999999"], "cannot read --exit-at: '99999999999' is not a number"),
        (["--on-missing=maybe"], "'maybe' is none of fallback, pass, fail"),
        (["--socket="], "cannot read --socket: '' is not a path"),
        (["--socket", "/" + "x" * 107], "is too long for a socket (at most 107 bytes)"),
        (["--socket=@" + "x" * 108], "is too long for a socket (at most 107 bytes)"),
        (["--socket=@"], "cannot read --socket: '@' is not a name"),
        (["--pid-file="], "cannot read --pid-file: '' is not a path"),
        (["--no-roll=maybe"], "cannot read --no-roll: 'maybe' is neither 1 nor 0"),
        (["--timeout"], "cannot read --timeout: its value is missing"),
        (["--tiemout=5s"], "cannot read the arguments: '--tiemout=5s' is not known (see --help)"),
        (["--time"], "'--time' is not known"),
        (["25s"], "'25s' is not known"),
        (["--"], "'--' is not known"),
        ([""], "'' is not known"),
        (
            ["--ignore-peer=10.0.0.0/33"],
            "cannot read --ignore-peer: '10.0.0.0/33' is neither an address nor a network (try 10",
        ),
        (["--ignore-peer", "::1,web"], "cannot read --ignore-peer: '::1,web' is neither an addr"),
        (["--ignore-peer", "10.0.0.1,"], "is neither an address nor a network"),
        (["--ignore-peer="], "is neither an address nor a network"),
        (["--ignore-peer", "::/129"], "is neither an address nor a network"),
        (["--ignore-peer", "10.0.0.0/"], "is neither an address nor a network"),
        (["--ignore-peer", "1" * 60], "is neither an address nor a network"),
        (["--ignore-peer=::1"] * 17, "cannot read --ignore-peer: '::1' is more than can be ign"),
        (["--ignore-port", "0"], "cannot read --ignore-port: '0' is not a port from 1 to 65535"),
        (["--ignore-port=65536"], "'65536' is not a port from 1 to 65535"),
        (["--ignore-port=4294967376"], "'4294967376' is not a port from 1 to 65535"),
        (["--ignore-port=80,http"], "'80,http' is not a port from 1 to 65535"),
        (["--timeout=\x1b[31m"], "'?[31m' is not a duration"),
    ],
)
def test_a_bad_argument_is_refused(client: Path, arguments: list[str], complaint: str) -> None:
    ended = run(client, *arguments)
    assert ended.status == 2
    assert complaint in ended.last
    assert len(ended.lines) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DRAINMON_TIMEOUT", "12x"),
        ("DRAINMON_MIN_WAIT", "-5s"),
        ("DRAINMON_QUIET", "soon"),
        ("DRAINMON_EXIT_AT", "few"),
        ("DRAINMON_ON_MISSING", "shrug"),
        ("DRAINMON_NO_ROLL", "2"),
        ("DRAINMON_VERBOSE", "very"),
        ("DRAINMON_IGNORE_PEER", "10.0.0.0/8,10"),
        ("DRAINMON_IGNORE_PORT", "http"),
        ("DRAINMON_SOCKET", "/" + "x" * 107),
        ("DRAINMON_SOCKET", "@"),
    ],
)
def test_a_bad_variable_is_replaced_by_the_default(
    client: Path, socket_path: Path, variable: str, value: str
) -> None:
    """A hook that ended for a bad variable would lose everything for a mistake made elsewhere."""
    of_socket = variable == "DRAINMON_SOCKET"
    flag = "--on-missing=fail" if of_socket else f"--socket={socket_path}"
    with FakeDaemon(socket_path, drained) as daemon:
        ended = run(client, flag, env={variable: value})
    assert ended.lines[0].startswith(f"cannot read {variable}: '{value}' is ")
    assert ended.lines[0].endswith("; the default is taken")
    if not of_socket:
        (request,) = daemon.requests
        assert without_elapsed(request) == DEFAULTS
        assert (ended.status, len(ended.lines)) == (0, 2)


def test_every_bad_variable_is_reported(client: Path, socket_path: Path) -> None:
    env = {"DRAINMON_TIMEOUT": "x" * 300, "DRAINMON_QUIET": "y\n", "DRAINMON_MIN_WAIT": "1s"}
    with FakeDaemon(socket_path, drained) as daemon:
        ended = run(client, f"--socket={socket_path}", env=env)
    assert ended.status == 0
    assert [line.split("'")[1] for line in ended.lines[:2]] == ["x" * 200, "y?"]
    assert daemon.requests[0]["min_wait"] == 1


@pytest.mark.parametrize("value", ["tcp://10.0.0.1:80", "udp://[fd00::1]:53", "sctp://10.0.0.1:9"])
def test_variables_of_a_kubernetes_service_are_ignored(
    client: Path, socket_path: Path, value: str
) -> None:
    """The variables that Kubernetes sets for a Service named drainmon-ignore, and for others."""
    names = ["DRAINMON_IGNORE_PORT", "DRAINMON_IGNORE_PORT_80_TCP", "DRAINMON_TIMEOUT"]
    with FakeDaemon(socket_path, drained) as daemon:
        ended = run(client, f"--socket={socket_path}", env=dict.fromkeys(names, value))
    assert (ended.status, len(ended.lines)) == (0, 1)
    assert without_elapsed(daemon.requests[0]) == DEFAULTS
    assert run(client, f"--ignore-port={value}").status == 2


def test_a_bad_flag_is_found_before_the_daemon_is_asked(client: Path, socket_path: Path) -> None:
    with FakeDaemon(socket_path, drained) as daemon:
        ended = run(client, f"--socket={socket_path}", "--quiet=1s", "--exit-at=x")
    assert ended.status == 2
    assert daemon.requests == []


DEFAULTS = {
    "timeout": 24.75, "margin": 0.25, "min_wait": 5.0, "quiet": 1.5, "exit_at": 0, "roll": True,
    "unreachable_after": 10.0,
}  # fmt: skip


def without_elapsed(request: Answer) -> Answer:
    return {name: value for name, value in request.items() if name != "elapsed"}


def drained(conversation: Conversation) -> None:
    conversation.head()
    conversation.line(result="drained", in_flight=0)


def test_the_defaults_are_sent_to_the_daemon(client: Path, socket_path: Path) -> None:
    with FakeDaemon(socket_path, drained) as daemon:
        assert run(client, "--socket", str(socket_path)).status == 0
    (request,) = daemon.requests
    assert 0 <= request["elapsed"] < 0.4
    assert without_elapsed(request) == DEFAULTS
    assert daemon.head_lines == ["POST /v1/self/drain HTTP/1.0"]


def test_flags_win_over_variables(client: Path, socket_path: Path) -> None:
    env = {
        "DRAINMON_SOCKET": str(socket_path),
        "DRAINMON_TIMEOUT": "1m",
        "DRAINMON_MIN_WAIT": "1.25s",
        "DRAINMON_QUIET": "nonsense, but the flag wins",
        "DRAINMON_EXIT_AT": "3",
        "DRAINMON_NO_ROLL": "1",
        "DRAINMON_ON_MISSING": "",
    }
    with FakeDaemon(socket_path, drained) as daemon:
        assert run(client, "--quiet", "750ms", env=env).status == 0
        assert run(client, "--quiet=0.5", "--no-roll=0", "--exit-at", "7", env=env).status == 0
    first, second = daemon.requests
    assert (first["timeout"], first["min_wait"], first["quiet"]) == (59.75, 1.25, 0.75)
    assert (first["exit_at"], first["roll"]) == (3, False)
    assert (second["quiet"], second["exit_at"], second["roll"]) == (0.5, 7, True)


def test_unreachable_after_is_sent_to_the_daemon(client: Path, socket_path: Path) -> None:
    env = {"DRAINMON_SOCKET": str(socket_path), "DRAINMON_UNREACHABLE_AFTER": "1m"}
    with FakeDaemon(socket_path, drained) as daemon:
        assert run(client, env=env).status == 0
        assert run(client, "--unreachable-after=0", env=env).status == 0
    assert [request["unreachable_after"] for request in daemon.requests] == [60.0, 0.0]


def test_node_addresses_are_not_sent_to_the_daemon(client: Path, socket_path: Path) -> None:
    env = {"DRAINMON_SOCKET": str(socket_path), "DRAINMON_NODE_ADDRESS": "192.0.2.1,gateway"}
    with FakeDaemon(socket_path, drained) as daemon:
        assert run(client, "--node-address=fd77::1", env=env).status == 0
        assert run(client, env=env).status == 0
    for request in daemon.requests:
        assert not any("192.0.2.1" in str(value) or "peer" in name
                       for name, value in request.items())  # fmt: skip


def test_ignored_peers_and_ports_are_sent_to_the_daemon(client: Path, socket_path: Path) -> None:
    flags = ["--ignore-peer=10.0.0.0/8", "--ignore-peer", "2001:db8::/32,::1", "--ignore-port=81"]
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"
    env = {
        "DRAINMON_SOCKET": str(socket_path),
        "DRAINMON_IGNORE_PEER": ",".join([longest] * 16),
        "DRAINMON_IGNORE_PORT": ",".join(["65535"] * 16),
    }
    with FakeDaemon(socket_path, drained) as daemon:
        assert run(client, f"--socket={socket_path}", *flags).status == 0
        assert run(client, env=env).status == 0
    first, second = daemon.requests
    assert first["ignore_peers"] == ["10.0.0.0/8", "2001:db8::/32", "::1"]
    assert first["ignore_ports"] == [81]
    assert second["ignore_peers"] == [longest] * 16
    assert second["ignore_ports"] == [65535] * 16


PEERS = st.one_of(
    st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(0, 33)),
    st.builds("10.0.0.{}/{}".format, st.integers(0, 15), st.integers(24, 32)),
    st.builds("{}/{}".format, st.ip_addresses(v=6), st.integers(0, 129)),
    st.builds("::ffff:{}/{}".format, st.ip_addresses(v=4), st.integers(90, 129)),
    st.ip_addresses().map(str),
    st.sampled_from(["::/0", "0.0.0.0/0", "", "/", "1.2.3", "010.0.0.1", "::1/", "fe80::1%lo"]),
    st.text("0123456789abcdef:./", max_size=50),
)
ADDRESSES = st.one_of(
    st.ip_addresses(v=6), st.ip_addresses(v=4), st.ip_addresses(v=4, network="10.0.0.0/28")
)


@given(PEERS, PEERS, ADDRESSES)
def test_client_and_daemon_ignore_the_same_peers(
    library: Library, one: str, two: str, address: IPv4Address | IPv6Address
) -> None:
    where = packed(address)
    try:
        expected = Ignored.parse([one, two]).covers(80, where)
    except ValueError:
        assert library.peers(f"{one},{two}", where) is None
    else:
        assert library.peers(f"{one},{two}", where) == expected


@pytest.mark.parametrize(
    ("arguments", "env", "min_wait", "said"),
    [
        (["--timeout=3s"], {}, 1.5, "the default --min-wait 5s does not fit into --timeout 3s"),
        (["--min-wait=3s", "--timeout=3"], {}, 1.5, "--min-wait 3s does not fit into --timeout 3s"),
        (["--min-wait=1m"], {}, 12.5, "--min-wait 60s does not fit into the default --timeout 25s"),
        (
            ["--timeout=0.25"], {"DRAINMON_MIN_WAIT": "500ms"}, 0.125,
            "--min-wait 0.5s does not fit into --timeout 0.25s",
        ),
    ],
)  # fmt: skip
def test_a_min_wait_that_does_not_fit_becomes_half_of_the_timeout(
    client: Path, socket_path: Path, arguments: list[str], env: dict[str, str], min_wait: float,
    said: str,
) -> None:  # fmt: skip
    with FakeDaemon(socket_path, drained) as daemon:
        ended = run(client, f"--socket={socket_path}", *arguments, env=env)
    assert daemon.requests[0]["min_wait"] == min_wait
    assert ended.lines[0] == f"{said}: using {min_wait:g}s"


@pytest.mark.parametrize(("timeout", "margin"), [("8s", 0.25), ("1s", 0.1), ("0", 0)])
def test_the_timeout_is_sent_as_timeout_and_margin(
    client: Path, socket_path: Path, timeout: str, margin: float
) -> None:
    """A daemon without margins takes the first part for the whole, and still ends in time."""
    with FakeDaemon(socket_path, drained) as daemon:
        run(client, f"--socket={socket_path}", f"--timeout={timeout}")
    for request in daemon.requests:
        assert request["margin"] == margin
        assert request["timeout"] + request["margin"] == float(timeout.removesuffix("s"))


def test_help_fits_one_screen(client: Path) -> None:
    shown = run(client, "--help")
    assert shown.status == 0
    assert len(shown.output.splitlines()) <= 24
    assert max(map(len, shown.output.splitlines())) <= 85
    flags = (
        "--socket --timeout --min-wait --quiet --exit-at --no-roll --on-missing --pid-file "
        "--no-pod-log --verbose --version --ignore-peer --ignore-port"
    )
    for flag in flags.split():
        assert flag in shown.output
