"""A small server for the built site: on this machine only, with the headers that a host should send."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOR_EVER = "public, max-age=31536000, immutable"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".whl": "application/zip",
}


def site_headers() -> dict[str, str]:
    """The headers of every answer. `frame-ancestors` can stand in a header only, not in the page."""
    headers: dict[str, str] = json.loads(Path(__file__).with_name("headers.json").read_text())
    return headers | {"Content-Security-Policy": f"{headers['Content-Security-Policy']}; frame-ancestors 'none'"}


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, under a prefix of the path."""

    protocol_version = "HTTP/1.1"
    prefix = "/"
    headers_sent: dict[str, str]
    extensions_map = SimpleHTTPRequestHandler.extensions_map | TYPES

    def translate_path(self, path: str) -> str:
        """The file for a path, inside the folder whatever the path says."""
        return super().translate_path("/" + path.removeprefix(self.prefix) if path.startswith(self.prefix) else "/not-here")

    def list_directory(self, path: Any) -> None:
        """Folders are not listed."""
        del path
        self.send_error(404)

    def end_headers(self) -> None:
        """Add the site's headers."""
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", FOR_EVER if self.path.startswith(f"{self.prefix}assets/") else "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the inherited name
        """Nobody reads a line per file."""


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, and does not mind browsers that hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, unless the browser went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serving(folder: Path, port: int = 0, *, prefix: str = "/", headers: dict[str, str] | None = None) -> Iterator[str]:
    """Serve the folder on this machine while the context lasts; gives the address. Port 0: any that is free."""

    class Bound(Handler):
        headers_sent = site_headers() if headers is None else headers

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

    Bound.prefix = prefix
    with Server(("127.0.0.1", port), Bound) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()
            thread.join()
