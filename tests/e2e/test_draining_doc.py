"""The configuration that docs/draining.md recommends has the documented effect."""

import re
from pathlib import Path

import pytest

from tests.e2e.connections import Connection
from tests.e2e.harness import ROOT, MakePod

pytestmark = pytest.mark.root


def recommended() -> str:
    """The two locations of the flag file, moved to /app."""
    text = (ROOT / "docs" / "draining.md").read_text()
    found = re.search(
        r"^    location / \{.*?^    \}\n    location @last \{.*?^    \}\n", text, re.S | re.M
    )
    assert found
    return (
        found[0]
        .replace("location /", "location /app")
        .replace("proxy_pass http://app;", 'return 200 "served";')
    )


def test_the_flag_file_closes_a_connection_with_its_reply(make_pod: MakePod, nginx: Path) -> None:
    pod = make_pod(nginx=nginx, server=recommended())
    with Connection(pod) as connection:
        assert b"Connection: keep-alive" in connection.get("/app")
        (pod.directory / "run" / "nginx.draining").touch()
        last = connection.get("/app")
        assert last.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in last
        assert connection.read() == b""
