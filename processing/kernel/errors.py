"""The faults of the centre. A decline is a value (`processing.wire.outcome`), a fault is raised.

SpkError                      anything the centre itself raises; `exit_code` is 1
├── ConfigurationError        a setting is missing or wrong: mend it and start again; exit code 2
├── DatabaseError
│   ├── DatabaseUnavailableError   nobody answers, or the server turned the connection away
│   ├── DatabaseBusyError          no connection became free in time: answer "try later"
│   ├── DatabaseTimeoutError       a command took too long; whether it took effect is unknown
│   ├── TargetMismatchError        a database is not the one that the settings take it for; code 2
│   ├── DurabilityError            the server could lose what it acknowledged; exit code 2
│   └── MigrationError             the schema is not what this release needs; exit code 2
└── EmbeddedServerError       the embedded PostgreSQL cannot be set up, started or stopped

Messages are written for the person who reads them: what is wrong, with what, and what to do.
They carry no password and no personal data.
"""

from __future__ import annotations

from typing import ClassVar


class SpkError(Exception):
    """A fault of the centre. The command line prints its message and leaves with `exit_code`."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(SpkError):
    """A setting is missing, unreadable or contradicts another."""

    exit_code: ClassVar[int] = 2


class DatabaseError(SpkError):
    """Something went wrong between the centre and its database."""


class DatabaseUnavailableError(DatabaseError):
    """The server is away or turned the connection away; a command in flight may have worked."""


class DatabaseBusyError(DatabaseError):
    """All connections of the pool stayed taken; nothing was sent to the server."""


class DatabaseTimeoutError(DatabaseError):
    """A command ran out of time; unless the server said so itself, its effect is unknown."""


class TargetMismatchError(DatabaseError):
    """A database serves other buckets than the settings say."""

    exit_code: ClassVar[int] = 2


class DurabilityError(DatabaseError):
    """The server is set up so that a crash could lose acknowledged transactions."""

    exit_code: ClassVar[int] = 2


class MigrationError(DatabaseError):
    """The migrations of this release and those of the database do not fit together."""

    exit_code: ClassVar[int] = 2


class EmbeddedServerError(SpkError):
    """The embedded PostgreSQL cannot be set up, started or stopped here."""
