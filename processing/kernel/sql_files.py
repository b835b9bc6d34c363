"""Finds and reads the SQL: migrations, and the functions and views that are created again.

In a wheel the folder lies inside the package (`processing/sql`), in a checkout beside it.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from processing.kernel.errors import MigrationError

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
MIGRATION_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
ROUTINE_FOLDERS: Final = ("functions", "views")
"""Folders whose files may be applied any number of times, in the order in which they are."""


class SqlFile(msgspec.Struct, frozen=True):
    """One file. `path` is relative to the SQL folder, with slashes; `sha256` is of `text`."""

    path: str
    text: str
    sha256: bytes

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.path.rpartition("/")[2]

    @property
    def number(self) -> int:
        """A migration's number, the first four digits of its name."""
        return int(self.name[:4])


class SqlFolder(msgspec.Struct, frozen=True):
    """All SQL of this release, in the order in which it is applied."""

    migrations: tuple[SqlFile, ...]
    routines: tuple[SqlFile, ...]
    schema: tuple[SqlFile, ...]

    @property
    def sha256(self) -> bytes:
        """One digest over the path and content of every migration and routine."""
        digest = hashlib.sha256()
        for file in (*self.migrations, *self.routines):
            digest.update(file.path.encode() + b"\0" + file.sha256)
        return digest.digest()


def sql_root() -> Path:
    """Return the folder of this release's SQL; raises `MigrationError` when it is missing."""
    package = Path(str(resources.files("processing")))
    for folder in (package / "sql", package.parent / "sql"):
        if (folder / "migrations").is_dir():
            return folder
    raise MigrationError(f"the SQL files are missing: neither {package}/sql nor ../sql has them")


def read_sql_folder(root: Path) -> SqlFolder:
    """Return the files under `root`; raises `MigrationError` for a name or number out of order."""
    migrations = _read(root, "migrations")
    for expected, file in enumerate(migrations, start=1):
        if not MIGRATION_NAME.fullmatch(file.name) or file.path != f"migrations/{file.name}":
            raise MigrationError(
                f"{file.path}: a migration is named like 0002_add_visits.sql, in migrations/ itself"
            )
        if file.number != expected:
            raise MigrationError(
                f"{file.path}: number {expected:04} was expected; numbers run from 0001 "
                "without gap and without double"
            )
    routines = tuple(file for folder in ROUTINE_FOLDERS for file in _read(root, folder))
    return SqlFolder(migrations=migrations, routines=routines, schema=_read(root, "schema"))


def _read(root: Path, folder: str) -> tuple[SqlFile, ...]:
    paths = [path.relative_to(root).as_posix() for path in (root / folder).rglob("*.sql")]
    return tuple(_read_file(root, path) for path in sorted(paths))


def _read_file(root: Path, path: str) -> SqlFile:
    content = (root / path).read_bytes()
    if len(content) > FILE_BYTES_MAX:
        raise MigrationError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    try:
        # Git may hand out Windows line ends; they must not count as a change.
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path} is not UTF-8 at byte {error.start}") from error
    return SqlFile(path, text, hashlib.sha256(text.encode()).digest())
