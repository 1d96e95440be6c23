"""A fake pod whose nginx serves HTTP/3."""

import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig import nginx as nginx_binaries
from bench.rig.errors import RigError
from bench.rig.netns import Netns
from bench.rig.pod import FakePod

PORT = 443
NGINX = Path(__file__).resolve().parents[3] / "build" / "nginx-http3" / "usr" / "sbin" / "nginx"
DOWNLOAD_BYTES = 800_000
RATE = 100_000
"""Bytes a second that nginx sends of a reply: a download takes seven seconds."""


def choose() -> Path:
    """The nginx with HTTP/3 that `make build/nginx-http3` unpacks. Raises RigError without it."""
    if not NGINX.exists():
        raise RigError(f"cannot serve HTTP/3: {NGINX} is missing; run `make build/nginx-http3`")
    return nginx_binaries.choose(str(NGINX))


@contextmanager
def http3_pod(
    client: Netns,
    *,
    nginx: Path | None = None,
    workers: int = 2,
    host_key: bool = False,
    file_bytes: int = DOWNLOAD_BYTES,
    rate: int = RATE,
) -> Iterator[FakePod]:
    """A running nginx that serves HTTP/3 and HTTP/2 at `PORT`, and sends `rate` bytes/s of a reply.

    `host_key`: with a quic_host_key, which lets connections outlive a reload.
    """
    with tempfile.TemporaryDirectory(prefix="drainmon-http3-") as name:
        folder = Path(name)
        server = (
            f"listen {PORT} quic reuseport; listen {PORT} ssl; listen [::]:{PORT} quic reuseport;"
            f" listen [::]:{PORT} ssl; {certificate(folder)} limit_rate {rate};"
        )
        if host_key:
            key = folder / "host-key"
            key.write_bytes(secrets.token_bytes(32))
            server += f" quic_host_key {key};"
        with FakePod(
            client,
            nginx=nginx or choose(),
            workers=workers,
            server=server,
            file_bytes=file_bytes,
        ) as pod:
            yield pod


def certificate(folder: Path) -> str:
    """nginx's directives for a self-signed certificate, made in the folder."""
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    argv += ["-keyout", f"{folder}/key", "-out", f"{folder}/crt", "-subj", "/CN=pod"]
    subprocess.run(argv, check=True, capture_output=True, text=True)
    return f"ssl_certificate {folder}/crt; ssl_certificate_key {folder}/key;"
