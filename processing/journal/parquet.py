"""The tables of an archived month as Parquet files: the one module that uses pyarrow.

Types are exact: bytes as binary, UUIDs as UUID, lists of bigint as lists of int64, times in UTC
microseconds, JSON as its text. Compressed with zstd, a row group at a time, so that memory stays
bounded. What the rows amount to stands in the file's metadata under keys that begin with `spk.`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from processing.journal.archive_tables import ArchiveTable, Column, Kind
from processing.journal.month import ArchiveMismatchError

ROWS_PER_GROUP: Final = 32_768
"""Rows of one row group: some 25 MB of events."""

ROWS_PER_READ: Final = 4_096
"""How many rows of a file are in memory as Python objects at a time."""


class ParquetWriter:
    """Writes one table to a new file; after `finish` it is whole and on disk."""

    def __init__(self, path: Path, table: ArchiveTable) -> None:
        self._path = path
        self._schema = _schema(table)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[tuple[Any, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows in the order of the table's columns."""
        self._waiting += rows
        if len(self._waiting) >= ROWS_PER_GROUP:
            self._write_group()

    def finish(self, metadata: dict[str, str]) -> None:
        """Write what is left and `metadata`, and wait until the disk has it."""
        if self._waiting:
            self._write_group()
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def _write_group(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [
            pa.array(values, field.type)
            for field, values in zip(self._schema, columns, strict=True)
        ]
        self._writer.write_batch(
            pa.RecordBatch.from_arrays(arrays, schema=self._schema), row_group_size=ROWS_PER_GROUP
        )
        self._waiting.clear()


def read_rows(path: Path, table: ArchiveTable) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a file, UUIDs as 16 bytes, `ROWS_PER_READ` at a time.

    Raises `ArchiveMismatchError` when it is no Parquet file of this table.
    """
    with _opened(path, table) as file:
        try:
            for batch in file.iter_batches(batch_size=ROWS_PER_READ):
                yield list(zip(*map(_values, batch.columns), strict=True))
        except (pa.ArrowException, OSError) as error:
            raise ArchiveMismatchError(f"{path} is damaged: {error}") from error


def read_metadata(path: Path, table: ArchiveTable) -> dict[str, str]:
    """Return the metadata whose keys begin with `spk.`; raises as `read_rows` does."""
    with _opened(path, table) as file:
        found = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key.startswith(b"spk.")}


def _opened(path: Path, table: ArchiveTable) -> Any:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ArchiveMismatchError(f"{path} is no Parquet file: {error}") from error
    if not file.schema_arrow.equals(_schema(table)):
        file.close()
        raise ArchiveMismatchError(f"{path} has other columns than journal.{table.name}")
    return file


def _schema(table: ArchiveTable) -> Any:
    return pa.schema(
        [pa.field(column.name, _type(column), nullable=column.nullable) for column in table.columns]
    )


def _type(column: Column) -> Any:
    match column.kind:
        case Kind.BOOLEAN:
            return pa.bool_()
        case Kind.SMALLINT:
            return pa.int16()
        case Kind.INTEGER:
            return pa.int32()
        case Kind.BIGINT:
            return pa.int64()
        case Kind.BIGINT_LIST:
            return pa.list_(pa.int64())
        case Kind.TEXT | Kind.JSON_TEXT:
            return pa.string()
        case Kind.BYTES:
            return pa.binary()
        case Kind.UUID:
            return pa.uuid()
        case Kind.DATE:
            return pa.date32()
        case Kind.UTC_MICROSECONDS:
            return pa.timestamp("us", tz="UTC")


def _values(column: Any) -> list[Any]:
    stored = column.storage if isinstance(column, pa.ExtensionArray) else column
    values: list[Any] = stored.to_pylist()
    return values
