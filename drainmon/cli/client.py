"""GET requests on the daemon's unix socket."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

TIMEOUT = 10.0


class NoDaemonError(ConnectionError):
    """No daemon listens at the socket."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("drainmon", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, resource: str, timeout: float = TIMEOUT) -> Any:
    """The JSON answer to GET `resource`. Raises OSError "cannot ask the daemon at PATH: why", and
    NoDaemonError where no daemon listens."""
    connection = _UnixConnection(path, timeout)
    try:
        connection.request("GET", resource)
        response = connection.getresponse()
        answer = json.load(response)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        absent = isinstance(error, FileNotFoundError | NotADirectoryError | ConnectionRefusedError)
        kind = NoDaemonError if absent else OSError
        raise kind(f"cannot ask the daemon at {path}: {why}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"cannot ask the daemon at {path}: {_why(answer) or response.reason}")
    return answer


def _why(answer: Any) -> str | None:
    return answer.get("error") if isinstance(answer, dict) else None
