"""The web page's address, HOST:PORT, and the socket that listens there."""

import socket

import pytest

from drainmon.server.listen import UNREAD_FOR, Address, bind, bound, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9935", Address("127.0.0.1", 9935)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),  # noqa: S104
        ("[::1]:9935", Address("::1", 9935)),
        ("node7.example.com:65535", Address("node7.example.com", 65535)),
        ("off", None),
        ("", None),
    ],
)
def test_addresses_are_parsed(text: str, address: Address | None) -> None:
    assert parse(text) == address
    if address:
        assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["9935", ":9935", "127.0.0.1", "127.0.0.1:", "host:65536", "host:-1", "host:http", "h:\u0661",
     "::1:9935", "[::1]", "[::1:9935", "[127.0.0.1]:1", "[x:y]:1"],
)  # fmt: skip
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot listen on"):
        parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::"])
def test_a_bound_address_accepts_connections(host: str) -> None:
    with bind(Address(host, 0)) as listener:
        where = bound(listener)
        assert where.port > 0
        with socket.create_connection(("::1" if ":" in host else host, where.port)):
            accepted, _ = listener.accept()
            with accepted:
                limit = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert limit == UNREAD_FOR


def test_the_ipv6_wildcard_includes_ipv4() -> None:
    with (
        bind(Address("::", 0)) as listener,
        socket.create_connection(("127.0.0.1", bound(listener).port)),
    ):
        pass


def test_an_address_in_use_is_reported() -> None:
    with bind(Address("127.0.0.1", 0)) as listener:
        taken = bound(listener)
        with pytest.raises(OSError, match=f"cannot listen on {taken}: Address already in use$"):
            bind(taken)


def test_an_address_of_another_host_is_reported() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:1: Cannot assign"):
        bind(Address("192.0.2.1", 1))
    with pytest.raises(OSError, match=r"cannot listen on none\.invalid:1: "):
        bind(Address("none.invalid", 1))
