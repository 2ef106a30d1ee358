"""Saving a log to a file that people can keep, and bringing such files back. The format is JSONL: see `format`."""
