"""pystore: a local-first store for people's own data. An append-only event log and a projector, in plain Python."""

from pystore.errors import PyStoreError
from pystore.event import Event, Recorded
from pystore.schema import Schema
from pystore.store import Store
from pystore.versions import __version__
from pystore.view import View

__all__ = ["Event", "PyStoreError", "Recorded", "Schema", "Store", "View", "__version__"]
