"""A small HTTP server on this machine, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

Handler = Callable[[Any, Any, Any], http.server.BaseHTTPRequestHandler]


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """The address at which `handler` answers, without a slash at its end."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
