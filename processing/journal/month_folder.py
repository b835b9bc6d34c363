"""The folder of an archived month: a Parquet file per table, and their SHA-256 for `sha256sum -c`.

A file is written aside, as NAME.part, and gets its name when it was read back and found equal to
the database. So whatever has its name is whole, whenever the writer was stopped.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from processing.journal.archive_tables import FORMAT, TABLES, ArchiveTable
from processing.journal.month import ArchiveRefused, Month
from processing.journal.tally import Figures

SUMS_NAME: Final = "SHA256SUMS"
FOLDER_MODE: Final = 0o700
"""An archive names cards and rights holders: who else may read it is its owner's decision."""

_PIECE_BYTES: Final = 1024 * 1024


class MonthFolder:
    """The folder of one month inside the archive."""

    def __init__(self, archive: Path, month: Month) -> None:
        self.path = archive / str(month)
        self._month = month

    def make(self) -> None:
        """Make the folder if need be. Raises `ArchiveRefused`."""
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveRefused(
                f"{self.path} cannot be made: {error.strerror or error}; give a folder that you "
                "may write to with --out"
            ) from error

    def file(self, table: ArchiveTable) -> Path:
        """Return where the table's file is, or will be."""
        return self.path / f"{table.name}.parquet"

    def aside(self, table: ArchiveTable) -> Path:
        """Return where the table's file is written."""
        return self.path / f"{table.name}.parquet.part"

    def keep(self, table: ArchiveTable) -> None:
        """Give the file that was written aside its name."""
        self.aside(table).replace(self.file(table))
        self._sync()

    def whole(self) -> bool:
        """Whether every table has its file."""
        return all(self.file(table).is_file() for table in TABLES)

    def sha256_by_name(self) -> dict[str, str]:
        """Return the SHA-256 (hex) of every file, read now. Raises `ArchiveRefused`."""
        return {self.file(table).name: _sha256(self.file(table)) for table in TABLES}

    def write_sums(self, sha256_by_name: dict[str, str]) -> None:
        """Write the file that `sha256sum -c` reads."""
        aside = self.path / f"{SUMS_NAME}.part"
        with aside.open("w", encoding="ascii", newline="\n") as file:
            file.writelines(f"{digest}  {name}\n" for name, digest in sha256_by_name.items())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / SUMS_NAME)
        self._sync()

    def metadata(self, table: ArchiveTable, figures: Figures) -> dict[str, str]:
        """Return what the table's file says about itself."""
        told: dict[str, object] = {
            "format": FORMAT,
            "month": self._month,
            "partition": f"journal.{table.name}_{self._month.suffix}",
            "row_count": figures.row_count,
            "rows_sha256": figures.rows_sha256,
            "block_count": figures.block_count,
            "roots_sha256": figures.roots_sha256,
        }
        told |= {f"sum.{name}": value for name, value in figures.sums.items()}
        told |= {f"min.{name}": value.isoformat() for name, value in figures.least.items()}
        told |= {f"max.{name}": value.isoformat() for name, value in figures.greatest.items()}
        return {f"spk.{name}": str(value) for name, value in told.items()}

    def _sync(self) -> None:
        """Wait until the disk has the names, too; Windows has no such call and needs none."""
        if os.name != "posix":
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        raise ArchiveRefused(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
