"""An append-only file of records that survives a kill at any byte.

The file begins with `MAGIC`. Each record is a header (payload length and CRC-32 of that length,
4 bytes each, big-endian), the payload, and the CRC-32 of the payload (4 bytes). `append` returns
only when the record is on the disk.

Opening tells two kinds of a bad end apart. A *torn tail* is what a kill or a power cut leaves:
the last record is incomplete; it never counted, because `append` had not returned, and is cut
off. Anything else is *damage*: records after that place may be lost.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from struct import Struct
from typing import Final, Self

import msgspec

from terminal_sim.errors import TerminalError

MAGIC: Final = b"SPKTLOG1"
RECORD_MAX_BYTES: Final = 64 * 1024
"""Longest payload of one record."""

FILE_MAX_BYTES: Final = 256 * 1024 * 1024
"""Longest log that is read; compaction keeps it far below."""

_HEADER: Final = Struct(">II")
_CHECK: Final = Struct(">I")


class RecordLogError(TerminalError):
    """The log cannot be used at all; the message says which file and what to do."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file: sound records in order, and how it ended.

    `sound_bytes` is where the last sound record ends; `torn_bytes` how much of an unfinished
    record followed; `damage` says what is wrong otherwise, "" when nothing is.
    """

    records: tuple[bytes, ...]
    sound_bytes: int
    torn_bytes: int = 0
    damage: str = ""


def encode_record(payload: bytes) -> bytes:
    """Return one record's bytes. Raises ValueError for a payload over `RECORD_MAX_BYTES`."""
    if len(payload) > RECORD_MAX_BYTES:
        raise ValueError(f"a record holds at most {RECORD_MAX_BYTES} bytes, not {len(payload)}")
    length = len(payload).to_bytes(4)
    return b"".join(
        (_HEADER.pack(len(payload), zlib.crc32(length)), payload, _CHECK.pack(zlib.crc32(payload)))
    )


def recover(data: bytes) -> Recovery:
    """Return what a file's bytes hold. Never raises, whatever the bytes are."""
    if not data.startswith(MAGIC):
        # A kill while the file was made leaves a part of the magic and nothing else.
        if MAGIC.startswith(data):
            return Recovery(records=(), sound_bytes=0, torn_bytes=len(data))
        return Recovery(records=(), sound_bytes=0, damage="the file does not begin as a log")
    records: list[bytes] = []
    at = len(MAGIC)
    while at < len(data):
        end, fault = _read(data, at, records)
        if fault is not None:
            rest = len(data) - at
            if fault:
                return Recovery(
                    records=tuple(records), sound_bytes=at, damage=f"{fault} at byte {at}"
                )
            return Recovery(records=tuple(records), sound_bytes=at, torn_bytes=rest)
        at = end
    return Recovery(records=tuple(records), sound_bytes=at)


def _read(data: bytes, at: int, records: list[bytes]) -> tuple[int, str | None]:
    """Read one record into `records`; its end, and None, "" (torn) or what is damaged."""
    header = data[at : at + _HEADER.size]
    if len(header) < _HEADER.size:
        return at, ""
    length, check = _HEADER.unpack(header)
    if zlib.crc32(header[:4]) != check or length > RECORD_MAX_BYTES:
        # Some file systems leave zeros where a write was cut off.
        return at, "a record's length is damaged" if data[at:].strip(b"\0") else ""
    start = at + _HEADER.size
    end = start + length + _CHECK.size
    if end > len(data):
        return at, ""
    payload = data[start : start + length]
    if _CHECK.unpack_from(data, start + length)[0] != zlib.crc32(payload):
        return at, "" if end == len(data) else "a record is damaged"
    records.append(payload)
    return end, None


class RecordLog:
    """An open log at its end. Made by `open`; one process at a time, which the caller sees to."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def open(cls, path: Path) -> tuple[Self, Recovery]:
        """Open or make the log, cut off a torn tail, and give what it holds.

        A damaged file is not touched further than that: the caller decides (`rewrite`). Raises
        `RecordLogError`.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            recovery = recover(_read_all(descriptor, path))
            if not recovery.damage:
                os.ftruncate(descriptor, recovery.sound_bytes)
                if recovery.sound_bytes == 0:
                    _write_all(descriptor, 0, MAGIC)
                    sync_folder(path.parent)
                os.fsync(descriptor)
        except RecordLogError:
            raise
        except OSError as error:
            raise RecordLogError(
                f"Журнал терминала не открывается: {error}",
                f"the terminal's log cannot be opened: {error}",
            ) from error
        os.lseek(descriptor, 0, os.SEEK_END)
        return cls(path, descriptor), recovery

    @property
    def size_bytes(self) -> int:
        """Return how long the file is."""
        return os.fstat(self._open_descriptor()).st_size

    def append(self, payload: bytes) -> None:
        """Write one record; it is on the disk when this returns.

        Raises `RecordLogError` when that is not sure; then what was written of it is taken back.
        """
        descriptor = self._open_descriptor()
        end = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            _write_all(descriptor, end, encode_record(payload))
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, end)
            # After a failed fsync nobody knows what the disk holds: only a fresh start does.
            self.close()
            raise RecordLogError(
                f"Журнал терминала не записан: {error}. Освободите место и запустите снова",
                f"the terminal's log cannot be written: {error}. Free some space, start again",
            ) from error

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace the whole log by these records; after a crash it is the old or the new one."""
        descriptor = self._open_descriptor()
        aside = self.path.with_suffix(".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        try:
            fresh = os.open(aside, flags, 0o600)
            try:
                _write_all(fresh, 0, MAGIC + b"".join(map(encode_record, payloads)))
                os.fsync(fresh)
            finally:
                os.close(fresh)
            # Windows renames over a file only when nobody holds it open.
            os.close(descriptor)
            self._descriptor = None
            aside.replace(self.path)
            sync_folder(self.path.parent)
            self._descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise RecordLogError(
                f"Журнал терминала не переписан: {error}. Освободите место и запустите снова",
                f"the terminal's log cannot be rewritten: {error}. Free some space, start again",
            ) from error

    def keep_copy(self, aside: Path) -> None:
        """Copy the file as it stands, for whoever wants to look into a damaged one."""
        try:
            aside.write_bytes(_read_all(self._rewound(), self.path))
        except OSError as error:
            raise RecordLogError(
                f"Повреждённый журнал не удалось отложить: {error}",
                f"the damaged log could not be kept aside: {error}",
            ) from error

    def _rewound(self) -> int:
        descriptor = self._open_descriptor()
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise RecordLogError(
                "Журнал терминала закрыт: запустите терминал снова",
                "the terminal's log is closed: start the terminal again",
            )
        return self._descriptor


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in `folder` durable where the system lets us."""
    # Windows cannot open a folder; its renames are durable on their own terms.
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read_all(descriptor: int, path: Path) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > FILE_MAX_BYTES:
        raise RecordLogError(
            f"В файле {path} {size} байт, больше {FILE_MAX_BYTES}: это журнал терминала?",
            f"{path} has {size} bytes, over {FILE_MAX_BYTES}: is it the terminal's log?",
        )
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, at: int, data: bytes) -> None:
    os.lseek(descriptor, at, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
