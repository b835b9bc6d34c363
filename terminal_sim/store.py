"""The state folder of one terminal: every request is on the disk before it is sent.

    lock             held by the one process that works with the folder
    terminal.log     the records (record_log.py), compacted when it has grown
    *.damaged        a damaged log, kept for whoever wants to know

A folder that is new, gone or damaged begins a new epoch, which tells the centre that this
terminal may have forgotten something. What a damaged log still holds is taken over, and its
pending requests are repeated as always.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from processing.wire.parameter_file import ParameterFile
from terminal_sim.errors import TerminalError
from terminal_sim.record_log import RecordLog, Recovery
from terminal_sim.state import Record, TerminalState
from terminal_sim.terminal import opened

COMPACT_ABOVE_BYTES: Final = 4 * 1024 * 1024
"""A log that grew longer than this, and to twice what compaction left, is compacted."""

LOG_NAME: Final = "terminal.log"
LOCK_NAME: Final = "lock"

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


class StateFolderError(TerminalError):
    """The state folder cannot be used: another process or another terminal has it."""


class OpenReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the folder was found: `fresh` without a state, `damage` "" when there is none.

    `torn_bytes` is what a kill left of a record that never counted.
    """

    fresh: bool = False
    torn_bytes: int = 0
    damage: str = ""


class Store:
    """An open state folder. `write` is durable when it returns; `state` is always up to date."""

    def __init__(
        self,
        log: RecordLog,
        state: TerminalState,
        lock: IO[bytes],
        report: OpenReport,
        compact_above_bytes: int,
    ) -> None:
        self.state = state
        self.report = report
        self._compact_above_bytes = compact_above_bytes
        self._compact_at_bytes = compact_above_bytes
        self._log = log
        self._lock: IO[bytes] | None = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        parameters: ParameterFile,
        now_ms: int,
        compact_above_bytes: int = COMPACT_ABOVE_BYTES,
    ) -> Self:
        """Open the folder, or make it. Raises `StateFolderError` and `RecordLogError`."""
        lock = _take_lock(folder)
        try:
            log, recovery = RecordLog.open(folder / LOG_NAME)
            try:
                state, report = _state_of(recovery)
                if state.terminal_id not in ("", parameters.terminal_id):
                    raise StateFolderError(
                        f"Папка {folder} принадлежит терминалу {state.terminal_id}",
                        f"the folder {folder} belongs to terminal {state.terminal_id}",
                    )
                store = cls(log, state, lock, report, compact_above_bytes)
                store._begin(parameters, now_ms)
            except BaseException:
                log.close()
                raise
        except BaseException:
            lock.close()
            raise
        return store

    def _begin(self, parameters: ParameterFile, now_ms: int) -> None:
        if self.report.damage:
            self.state.apply(opened(self.state.epoch, parameters, now_ms))
            aside = self._log.path.with_name(f"{LOG_NAME}.{self.state.epoch}.damaged")
            self._log.keep_copy(aside)
            self._compact()
        elif self.report.fresh:
            self.write(opened(0, parameters, now_ms))
        elif self._log.size_bytes > self._compact_above_bytes:
            self._compact()

    def _compact(self) -> None:
        self._log.rewrite(map(_ENCODER.encode, self.state.snapshot()))
        self._compact_at_bytes = max(self._compact_above_bytes, 2 * self._log.size_bytes)

    def write(self, record: Record) -> None:
        """Put one record on the disk, then into the state. Raises `RecordLogError`."""
        self._log.append(_ENCODER.encode(record))
        self.state.apply(record)
        if self._log.size_bytes > self._compact_at_bytes:
            self._compact()

    def close(self) -> None:
        """Let the folder go. Closing twice does nothing."""
        self._log.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _state_of(recovery: Recovery) -> tuple[TerminalState, OpenReport]:
    """Return the state that the sound records give, up to the first that makes no sense."""
    state = TerminalState()
    damage = recovery.damage
    for number, payload in enumerate(recovery.records, 1):
        try:
            state.apply(_DECODER.decode(payload))
        except (msgspec.MsgspecError, ValueError) as error:
            damage = f"record {number}: {error}"
            break
    fresh = not damage and not state.terminal_id
    return state, OpenReport(fresh=fresh, torn_bytes=recovery.torn_bytes, damage=damage)


def _take_lock(folder: Path) -> IO[bytes]:
    """Make the folder if need be and lock it for this process; closing the file unlocks it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("ab")
    except OSError as error:
        raise StateFolderError(
            f"Папка {folder} недоступна: {error}", f"the folder {folder} cannot be used: {error}"
        ) from error
    if not _locked(file):
        file.close()
        raise StateFolderError(
            f"С папкой {folder} уже работает другой терминал: закройте его",
            f"another terminal already works with the folder {folder}: close it",
        )
    return file


def _locked(file: IO[bytes]) -> bool:
    """Lock an open file for this process alone; whether that worked."""
    if sys.platform == "win32":
        import msvcrt

        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
