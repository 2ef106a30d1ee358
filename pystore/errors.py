"""Every error that pystore raises on purpose.

    PyStoreError
    ├── ValidationError         an event that fails its model, or a value outside the input profile
    │   └── UnknownTypeError    an event type that the schema does not know
    ├── ConstraintError         the view refuses the event (NOT NULL, UNIQUE, FOREIGN KEY, CHECK)
    ├── HandlerError            a handler failed on an event
    ├── QueryError              SQL that is wrong, writes, or runs too long
    ├── FormatError             a file that is not what it should be
    │   ├── CorruptBackupError  truncated, or a line that is damaged: details `kind` names one of the next three, or another error here
    │   ├── GapError            an event is missing before this one
    │   ├── ChainError          an event does not continue its chain
    │   ├── AlteredError        an event's content is not what was recorded
    │   └── ForkError           two different events under one (replica, seq)
    ├── NewerVersionError       made by a newer pystore or application; read-only
    ├── PassphraseError         a protected file, and no passphrase or the wrong one
    ├── ClockError              an event from too far in the future
    ├── MigrationError          the data could not be brought to this version; nothing was changed
    ├── ReadOnlyError           this store may not be written to
    └── StorageError
        ├── ConflictError       another writer was first; nothing was written
        ├── QuotaError          no space; nothing was written
        ├── OutcomeUnknownError the batch may or may not be stored; repeat it with the same batch id
        ├── CorruptError        a stored record does not hold what was written
        ├── StoreLostError      there was a log here, and its storage is empty
        ├── TailLostError       the newest events of a log are gone
        ├── ClosedError         the store or its connection is closed
        │   └── ForgottenError  the log is being removed
        └── UnavailableError    the platform gives no storage

A class exists where a caller would act differently. Each message is a sentence that tells a person what to do; `details`
holds plain data for a program. `code` (the class name) is how an error crosses to JavaScript.
"""

from __future__ import annotations

from typing import Any


class PyStoreError(Exception):
    """Base of all errors here. `exit_code` is the command line's exit status."""

    exit_code = 1

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def tell_also(self, more: str, **details: Any) -> None:
        """Add a sentence to the message, and to the details."""
        self.message = f"{self.message} {more}"
        self.args = (self.message,)
        self.details |= details

    @property
    def code(self) -> str:
        """The name under which the error crosses to JavaScript and to the command line."""
        return type(self).__name__


class ValidationError(PyStoreError, ValueError):
    """An event was refused before anything was stored: a field of its model, or the input profile."""


class UnknownTypeError(ValidationError):
    """The schema declares no such event type."""


class ConstraintError(PyStoreError):
    """A constraint of the view refused an event; nothing was stored."""


class HandlerError(PyStoreError):
    """A handler raised on an event; nothing was stored."""


class QueryError(PyStoreError):
    """The SQL is wrong, tries to write, or ran longer than allowed."""


class FormatError(PyStoreError, ValueError):
    """A file is not in a format that can be read here; nothing was changed."""


class CorruptBackupError(FormatError):
    """A backup is truncated, altered or breaks a chain; nothing was changed.

    `details` say where: `line`, and for a damaged line `kind` (the code of the error that it is), and `id` if it is known.
    """


class GapError(FormatError):
    """An event's number leaves some out: one before it is missing."""


class ChainError(FormatError):
    """An event does not continue its replica's chain: it comes again, or names another one before it."""


class AlteredError(FormatError):
    """An event's content does not match its digest."""


class ForkError(FormatError):
    """One (replica, seq) has two different events."""


class NewerVersionError(PyStoreError):
    """Made by a newer version: it can be read as far as it is understood, not written."""


class PassphraseError(PyStoreError):
    """A file is protected by a passphrase, and none was given (`missing` in the details), or another one."""


class ClockError(PyStoreError):
    """An event's time lies further in the future than the limit."""


class MigrationError(PyStoreError):
    """The data of an older version could not be brought to this one; nothing was changed. `details` have the `problems`."""


class ReadOnlyError(PyStoreError):
    """The store is open for reading only."""


class StorageError(PyStoreError):
    """The platform's storage failed."""


class ConflictError(StorageError):
    """Another writer was first; nothing was written. Catch up and try again."""


class QuotaError(StorageError):
    """There is no space left; nothing was written."""


class OutcomeUnknownError(StorageError):
    """It is not known whether the batch was stored. Repeat it with the same batch id: it is stored once."""


class CorruptError(StorageError):
    """A stored record does not hold what was written. Where an event is at fault, `details` have its `id` and the `kind` of damage."""


class StoreLostError(StorageError):
    """There was a log here, and its storage is empty: the browser, or somebody, removed it. `details` tell what is known, and `backups`."""


class TailLostError(StorageError):
    """The newest events of a log are not in its storage any more. `details` tell what is known, and `backups`."""


class ClosedError(StorageError):
    """The store, or the platform's connection below it, is closed."""


class ForgottenError(ClosedError):
    """The log is being removed, or that was cut short: `Store.open` and `forget_log` go on with it."""


class UnavailableError(StorageError):
    """The platform gives no storage here."""
