"""The files of the web page, each at its own path; no other file of the folder is served."""

from pathlib import Path

from aiohttp import web

from drainmon.server.replies import Handler

FOLDER = Path(__file__).with_name("page")

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes(folder: Path = FOLDER) -> dict[str, Handler]:
    """Path and handler of each file; `/` is index.html."""
    handlers = {
        f"/page/{path.relative_to(folder).as_posix()}": _file(path)
        for path in folder.rglob("*")
        if path.suffix in TYPES
    }
    handlers["/"] = handlers.pop("/page/index.html")
    return handlers


def _file(path: Path) -> Handler:
    # Browsers revalidate each time, so that an upgraded daemon shows its own page.
    headers = {"Content-Type": TYPES[path.suffix], "Cache-Control": "no-cache"}

    async def get_file(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=headers)

    return get_file
