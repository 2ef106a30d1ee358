"""A small static server for the benchmark: the site, the pages of the benchmark and npm's packages, one origin per contender.

Every `<name>.localhost` is an origin of its own on this machine, so contenders share no database. What is sent is counted.
"""

from __future__ import annotations

import gzip
import mimetypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from web.build import server as web_server

KEPT = ("/assets/", "/npm/", "/wheels/")
"""What never changes under its name, and is kept by the browser after the first visit."""


@dataclass
class Server:
    """Where it listens, and the files that were asked for, with their sizes as they are and gzipped."""

    port: int = 0
    sent: list[tuple[str, Path]] = field(default_factory=list)

    def origin(self, name: str) -> str:
        """The origin of a contender."""
        return f"http://{name}.localhost:{self.port}"

    def wait_until_quiet(self, seconds: float = 1.0) -> None:
        """Return when nobody has asked for anything for a while."""
        asked = -1
        while asked < len(self.sent):
            asked = len(self.sent)
            time.sleep(seconds)

    def bytes_sent(self, since: int = 0) -> tuple[int, int]:
        """Bytes of what was sent since the request number `since`: as the files are, and gzipped as hosts send them."""
        files = [path for _, path in self.sent[since:]]
        return sum(path.stat().st_size for path in files), sum(_gzipped_size(path) for path in files)


_gzipped: dict[Path, int] = {}


def _gzipped_size(path: Path) -> int:
    if path not in _gzipped:
        raw = path.read_bytes()
        _gzipped[path] = min(len(raw), len(gzip.compress(raw, 6)))
    return _gzipped[path]


@contextmanager
def serving(folders: dict[str, Path]) -> Iterator[Server]:
    """Serve `folders` by the prefix of the path, the longest first; `/` is the site, with the headers of `build.py serve`."""
    headers = web_server.site_headers()
    server = Server()
    prefixes = sorted(folders, key=len, reverse=True)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            prefix = next(prefix for prefix in prefixes if path.startswith(prefix))
            file = folders[prefix] / path.removeprefix(prefix)
            if path.endswith("/"):
                file /= "index.html"
            if not file.is_file():
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = file.read_bytes()
            server.sent.append((self.headers.get("Host", ""), file))
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", web_server.TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            if prefix == "/":
                for name, value in headers.items():
                    self.send_header(name, value)
            self.send_header("Cache-Control", web_server.FOR_EVER if path.startswith(KEPT) else "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with web_server.Server(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
