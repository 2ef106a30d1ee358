"""Importers: what other programs export, as this application's events.

Each tells its own files from all others by the shape of what is in them, never by a file's name.
"""

from pystore.assistant.importers import chatgpt, claude, jsonl

__all__ = ["chatgpt", "claude", "jsonl"]
