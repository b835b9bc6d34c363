"""An append-only file of lines that survives a kill, or a power cut, at any byte.

A line is the CRC-32 of its JSON (8 hexadecimal digits), a space, the JSON and a line feed, so that
a person can read it. `append` leaves a line with the system, which a killed program cannot lose;
`sync` brings all lines so far to the disk, which a power cut cannot lose.

Opening tells two bad ends apart. A *torn tail* is a last line that is incomplete: it never
counted, and is cut off. Anything else is damage, and nothing is changed.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from card_personalization.chip.file_lock import lock_file
from card_personalization.station.faults import StationError, StationFault

LINE_BYTES_MAX: Final = 64 * 1024
FILE_BYTES_MAX: Final = 1 << 30
"""Longest journal that is read: some 150,000 cards, far over what is made between two closings."""
_CHECK_DIGITS: Final = 8
_PRIVATE: Final = 0o600


class JournalFile:
    """An open journal at its end, for this program alone. Threads may share it."""

    def __init__(self, path: Path, file: IO[bytes], lock: IO[bytes]) -> None:
        self.path = path
        self._file: IO[bytes] | None = file
        self._lock = lock
        self._writing = threading.Lock()

    def append(self, content: bytes) -> None:
        """Add one line of JSON. StationError(JOURNAL) if it cannot be written: then nothing is."""
        line = encode_line(content)
        with self._writing:
            file = self._open_file()
            end = file.seek(0, os.SEEK_END)
            try:
                file.write(line)
                file.flush()
            except OSError as error:
                # Half a line in the middle would be damage; at the end it is a torn tail.
                self._give_up(end)
                raise _unusable(self.path, str(error)) from error

    def sync(self) -> None:
        """Return when every line so far is on the disk. StationError(JOURNAL)."""
        try:
            os.fsync(self._open_file().fileno())
        except OSError as error:
            # After a failed fsync nobody knows what the disk holds: only a fresh start does.
            self.close()
            raise _unusable(self.path, str(error)) from error

    def rewrite(self, contents: Iterable[bytes]) -> None:
        """Replace all lines by these; after a crash it is the old or the new file."""
        aside = self.path.with_suffix(".new")
        with self._writing:
            try:
                _write_whole(aside, b"".join(map(encode_line, contents)))
                # Windows renames over a file only when nobody holds it open.
                self._open_file().close()
                aside.replace(self.path)
                _sync_folder(self.path.parent)
                self._file = self.path.open("r+b")
                self._file.seek(0, os.SEEK_END)
            except OSError as error:
                raise _unusable(self.path, str(error)) from error

    def contents(self) -> list[bytes]:
        """The JSON of every line, read again from the file."""
        try:
            return decode_lines(self.path.read_bytes(), self.path)[0]
        except OSError as error:
            raise _unusable(self.path, str(error)) from error

    def close(self) -> None:
        """Close the file and let others have it. Closing twice does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._lock.close()

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            raise _unusable(self.path, "closed / закрыт")
        return self._file

    def _give_up(self, end: int) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), end)
            with contextlib.suppress(OSError):
                file.close()
            self._lock.close()


def open_journal_file(path: Path) -> tuple[JournalFile, list[bytes]]:
    """Open or make a journal; the file and the JSON of its lines. StationError(JOURNAL…)."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("ab")
    except OSError as error:
        raise _unusable(path, str(error)) from error
    try:
        if not lock_file(lock):
            raise StationError(StationFault.JOURNAL_BUSY, path=str(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), _PRIVATE)
        file = os.fdopen(descriptor, "r+b")
        if os.fstat(descriptor).st_size > FILE_BYTES_MAX:
            raise _unusable(path, f"> {FILE_BYTES_MAX} bytes / байт")
        contents, sound = decode_lines(file.read(), path)
        file.seek(sound)
        file.truncate()
        os.fsync(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        lock.close()
        raise _unusable(path, str(error)) from error
    except BaseException:
        lock.close()
        raise
    return JournalFile(path, file, lock), contents


def encode_line(content: bytes) -> bytes:
    """Return one line. ValueError for a content over LINE_BYTES_MAX or with a line feed in it."""
    if len(content) > LINE_BYTES_MAX or b"\n" in content:
        raise ValueError(f"a line holds at most {LINE_BYTES_MAX} bytes and no line feed")
    return b"%08x %b\n" % (zlib.crc32(content), content)


def decode_lines(data: bytes, path: Path) -> tuple[list[bytes], int]:
    """Return the contents of all sound lines, and where the last one ends.

    StationError(JOURNAL_DAMAGED) naming the line if a line that is not the last is not sound.
    """
    contents: list[bytes] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        content = None if end < 0 else _sound(data[at:end])
        if content is None:
            # Some file systems leave zeros where a write was cut off.
            rest = data[end + 1 :] if end >= 0 else b""
            if rest.strip(b"\0"):
                line = len(contents) + 1
                raise StationError(StationFault.JOURNAL_DAMAGED, path=str(path), line=line)
            return contents, at
        contents.append(content)
        at = end + 1
    return contents, at


def _sound(line: bytes) -> bytes | None:
    check, space, content = (
        line[:_CHECK_DIGITS],
        line[_CHECK_DIGITS : _CHECK_DIGITS + 1],
        line[_CHECK_DIGITS + 1 :],
    )
    return content if space == b" " and check == b"%08x" % zlib.crc32(content) else None


def write_lines(path: Path, contents: Iterable[bytes]) -> None:
    """Write a new private file of these lines, in place of any other. StationError(JOURNAL)."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_whole(path, b"".join(map(encode_line, contents)))
        _sync_folder(path.parent)
    except OSError as error:
        raise _unusable(path, str(error)) from error


def _write_whole(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, _PRIVATE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename or a new file durable where the system lets us; Windows cannot open folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, detail: str) -> StationError:
    return StationError(StationFault.JOURNAL, path=str(path), detail=detail)
