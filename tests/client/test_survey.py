"""Identifying nginx's processes, sockets and ports: pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.library import Library
from tests.client.nginx_library import NginxLibrary


@pytest.mark.parametrize(
    ("title", "role"),
    [
        (b"nginx: master process /usr/sbin/nginx -g daemon off;\0", "master"),
        (b"nginx: worker process\0\0\0", "worker"),
        (b"nginx: worker process is shutting down\0", "quitting"),
        (b"nginx: cache manager process\0", "helper"),
        (b"angie: master process v1.10 angie\0", "master"),
        (b"php-fpm: master process (/etc/php-fpm.conf)\0", "none"),
        (b"nginx\0-g\0daemon off;\0", "none"),
        (b"vi nginx: master process\0", "none"),
        (b"nginx:", "none"),
        (b"", "none"),
    ],
)
def test_a_processs_role_follows_from_its_title(
    nginx_library: NginxLibrary, title: bytes, role: str
) -> None:
    assert nginx_library.role(title) == role


@pytest.mark.parametrize(
    ("link", "number"),
    [
        (b"net:[4026532621]", 4026532621),
        (b"net:[4026531833]", 4026531833),  # the first network namespace since Linux 6.18
        (b"mnt:[4026531840]", 4026531840),
        (b"net:[12]", 0),  # old gVisor: a different number for each process
        (b"net:[268435456]", 0),
        (b"net:[4026532621", 0),
        (b"net:[]", 0),
        (b"net:4026532621]", 0),
        (b"net:[99999999999999999999999]", 0),
        (b"", 0),
    ],
)
def test_small_namespace_numbers_identify_no_namespace(
    nginx_library: NginxLibrary, link: bytes, number: int
) -> None:
    assert nginx_library.namespace(link) == number


UNIX = b"0000000000000000: 00000002 00000000 %s 0001 01 %s %s"


@pytest.mark.parametrize(
    ("line", "inode", "path"),
    [
        (UNIX % (b"00010000", b"30851", b"/run/web.sock"), 30851, "/run/web.sock"),
        (UNIX % (b"00010000", b"  851", b"/run/my web.sock"), 851, "/run/my web.sock"),
        (UNIX % (b"00010000", b"30851", b"@abstract"), 30851, "@abstract"),
        (UNIX % (b"00010000", b"30851", b""), 30851, ""),
        (UNIX % (b"00000000", b"30851", b"/run/web.sock"), 30851, None),
        (b"Num       RefCount Protocol Flags    Type St Inode Path", 0, None),
        (b"", 0, None),
    ],
)
def test_unix_listeners_are_parsed(
    nginx_library: NginxLibrary, line: bytes, inode: int, path: str | None
) -> None:
    assert nginx_library.inode(line, 6) == inode
    assert nginx_library.unix_listens(line) == path


def test_inodes_of_netlink_and_packet_tables_are_parsed(nginx_library: NginxLibrary) -> None:
    netlink = b"00000000e5cb6ba9 0   1411       00000550 0        0        0        2 0   17044   "
    packet = b"00000000b1d4b6f4 3      3    88cc   2     1 0      0      21637"
    assert nginx_library.inode(netlink, 9) == 17044
    assert nginx_library.inode(packet, 8) == 21637
    assert nginx_library.inode(packet, 9) == 0


@given(st.binary(max_size=80), st.integers(0, 12))
def test_arbitrary_bytes_do_not_crash_the_parsers(
    nginx_library: NginxLibrary, data: bytes, word: int
) -> None:
    nginx_library.inode(data, word)
    nginx_library.unix_listens(data)
    nginx_library.namespace(data)
    nginx_library.role(data)
    first, last = nginx_library.port_range(data)
    assert 0 <= first <= 999_999_999
    assert 0 < last <= 999_999_999


@pytest.mark.parametrize(
    ("content", "bounds"),
    [
        (b"32768\t60999\n", (32768, 60999)),
        (b"1024\t65535\n", (1024, 65535)),
        (b"", (32768, 60999)),
        (b"32768", (32768, 60999)),
        (b"x\ty\n", (32768, 60999)),
    ],
)
def test_a_port_range_is_parsed(
    nginx_library: NginxLibrary, content: bytes, bounds: tuple[int, int]
) -> None:
    assert nginx_library.port_range(content) == bounds


@pytest.mark.parametrize(
    ("ports", "any_port", "chosen"),
    [
        ([8080, 40000], False, {8080}),
        ([8080, 40000], True, {8080}),  # the other one may belong to a connection to an upstream
        ([40000, 40001], False, set()),
        ([40000, 40001], True, {40000, 40001}),  # there is no better explanation
        ([40000, 40000, 40001], True, {40000}),
        ([], True, set()),
    ],
)
def test_nginxs_ports_are_found_without_listeners(
    nginx_library: NginxLibrary, ports: list[int], any_port: bool, chosen: set[int]
) -> None:
    assert nginx_library.choose(ports, 32768, 60999, any_port=any_port) == chosen


MASTER, LIVE = {"master"}, {"master", "worker"}


def test_the_end_of_nginx_with_connections_in_flight_is_a_cut(nginx_library: NginxLibrary) -> None:
    assert nginx_library.life(LIVE, 2, first=True) == "lives"
    assert nginx_library.life([], 0) == "cut"
    assert nginx_library.life([], 0) == "cut"
    assert nginx_library.life(["helper"], 0, exit_at=2) == "gone"
    assert nginx_library.life(LIVE, 0) == "lives"
    assert nginx_library.life([], 1) == "gone"


def test_an_nginx_that_quits_with_its_last_connection_is_gone(nginx_library: NginxLibrary) -> None:
    assert nginx_library.life(["master", "worker", "quitting"], 2, first=True) == "lives"
    assert nginx_library.life(["master", "quitting"], 2) == "lives"
    assert nginx_library.life(MASTER, 1) == "lives"
    assert nginx_library.life([], 0) == "gone"


def test_a_new_worker_means_that_nginx_does_not_quit(nginx_library: NginxLibrary) -> None:
    assert nginx_library.life(["master", "quitting"], 2, first=True) == "lives"
    assert nginx_library.life(LIVE, 2) == "lives"
    assert nginx_library.life([], 0) == "cut"


def test_an_nginx_that_was_never_seen_has_not_ended(nginx_library: NginxLibrary) -> None:
    assert nginx_library.life([], 7, first=True) == "lives"
    assert nginx_library.life([], 7) == "lives"


def test_sockets_that_do_not_fit_are_counted(nginx_library: NginxLibrary) -> None:
    assert nginx_library.holders(24576) == 0
    assert nginx_library.holders(24676) == 100


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (b'"uncounted":["unix /a b","udp 53"]', "x 0 but unix /a b, udp 53"),
        (b'"uncounted":[1,["x"],"udp 53"]', "x 0 but udp 53"),
        (b'"uncounted":"udp 53"', "x 0"),
        (b'"elsewhere":3', "x 0 (elsewhere 3)"),
        (b'"elsewhere":0', "x 0"),
        (b'"ports":[80,80,0,70000,-1,"x",443]', "x 0 :80,443"),
        (b'"ports":{"a":80}', "x 0 :80"),
        (b'"ports":80', "x 0"),
    ],
)
def test_fields_for_the_survey_are_parsed(library: Library, fields: bytes, said: str) -> None:
    assert library.answer(b'{"phase":"x",%s}' % fields) == ("none", [said])


def test_at_most_64_ports_of_an_answer_are_kept(library: Library) -> None:
    answer = library.answer(b'{"phase":"x","ports":%s}' % str([*range(1, 1000)]).encode())
    assert answer is not None
    assert answer[1][0].count(",") == 63
