"""The first application: a home for what people and their AI assistants said to each other. One log per assistant.

One module per subject, each with its events, its tables and the handlers between them: `conversations` today; memories,
documents, knowledge and tool activity get theirs beside it. `importers` read what other programs export.
"""

from pystore.assistant import conversations, importers
from pystore.assistant.application import schema

__all__ = ["conversations", "importers", "schema"]
