"""JSON answers, errors included: {"error": "cannot X: why"}."""

import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from drainmon.server.limits import TooMany

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def reply(value: Any, status: int = 200) -> web.Response:
    """A JSON answer, with a newline for terminals."""
    return web.Response(text=dumps(value) + "\n", status=status, content_type="application/json")


def error(status: int, message: str) -> web.Response:
    return reply({"error": message}, status)


def raw_error(status: int, message: str) -> bytes:
    """The bytes of an error answer, for a connection that is closed after it."""
    body = dumps({"error": message}).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert what a handler raises into a status and a JSON error."""
    try:
        return await handler(request)
    except web.HTTPException as raised:
        why = f"cannot {request.method} {request.path}: {raised.reason}"
        response = error(raised.status, why)
        if "Allow" in raised.headers:
            response.headers["Allow"] = raised.headers["Allow"]
        return response
    except TooMany as raised:
        response = error(429, str(raised))
        response.headers["Retry-After"] = "1"
        response.force_close()
        return response
    except (PermissionError, ValueError) as raised:
        return error(403 if isinstance(raised, PermissionError) else 400, str(raised))
    except OSError as raised:
        log.warning("cannot answer", extra={"path": request.path, "error": str(raised)})
        return error(503, f"cannot {request.method} {request.path}: {raised}")
    except Exception:
        log.exception("answer failed", extra={"path": request.path})
        return error(500, f"cannot {request.method} {request.path}: internal error, see the log")
