"""Writing the audit: files `000001.jsonl`, `000002.jsonl` … in a folder of their own.

A record is written before its use's answer leaves; a kill loses none, a loss of power at most what
came since the last `sync`. Uses as frequent as receipt blocks are told together once a second: a
record when a window begins, and one with their count and digest when it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from hsm_stub.audit_record import GENESIS, Counters, Record, What, line_of, line_sha256, record_of
from hsm_stub.errors import AuditDamaged, AuditError
from hsm_stub.uses import Facts, Use

SEAL_EVERY_RECORDS: Final = 1_000
SEAL_EVERY_MS: Final = 60_000
WINDOW_MS: Final = 1_000
"""How long frequent uses are told together."""
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The next seal after that many bytes goes on in another file."""
LINE_BYTES_MAX: Final = 64 * 1024


class Signer(Protocol):
    """Who signs the seals."""

    def sign_audit(self, digest: bytes) -> tuple[bytes, bytes, int]:
        """Return key id, signature (raw r‖s) and generation over a digest."""

    def audit_point(self) -> bytes:
        """Return the audit key's public point."""


class _Window(msgspec.Struct):
    """Frequent uses under way: whose they are, how many, a digest over all."""

    client: str
    uid: int
    use: Use
    rule: str
    day: str
    began_ms: int
    count: int
    digest: hashlib._Hash


class AuditLog:
    """The audit of one service. Raises `AuditError` when a record cannot be written."""

    def __init__(
        self, folder: Path, signer: Signer, utc_ms: Callable[[], int], policy: bytes
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._utc_ms = utc_ms
        self._policy = policy
        self.counters = Counters()
        self.records = 0
        self.head = GENESIS
        self._windows: dict[tuple[str, int, str, str], _Window] = {}
        self._unsealed = 0
        self._sealed_ms = utc_ms()
        self._dirty = False
        self._descriptor = -1
        self._lock = -1
        self._number = 0
        self._open()

    def used(self, client: str, uid: int, use: Use, rule: str, day: str, facts: Facts) -> None:
        """Record a use."""
        self.counters.add(rule, day)
        if use.summed:
            self._sum(client, uid, use, rule, day, facts)
            return
        self._write(
            what=What.USED,
            client=client,
            uid=uid,
            command=use.command,
            rule=rule,
            day=day,
            key=use.key,
            generation=use.generation,
            facts=facts,
        )
        if self._unsealed >= SEAL_EVERY_RECORDS:
            self.seal()

    def refused(self, client: str, uid: int, use: Use, code: str, facts: Facts) -> None:
        """Record a use that was refused."""
        self._write(
            what=What.REFUSED,
            client=client,
            uid=uid,
            command=use.command,
            key=use.key,
            generation=use.generation,
            code=code,
            facts=facts,
        )

    def policy(self, sha256: bytes) -> None:
        """Record that another policy comes into force."""
        self._policy = sha256
        self._write(what=What.POLICY, policy=sha256.hex())

    def signed_by(self, signer: Signer) -> None:
        """Have what follows sealed by another holder of the keys; the next record says so."""
        self._close_windows(self._utc_ms() + WINDOW_MS)
        self._signer = signer
        self._write_opened()

    def tick(self) -> None:
        """End windows and seal, where it is time."""
        now_ms = self._utc_ms()
        self._close_windows(now_ms)
        if self._unsealed and now_ms - self._sealed_ms >= SEAL_EVERY_MS:
            self.seal()

    def seal(self) -> None:
        """Sign everything so far. Where the keys are away it is left for the next time."""
        try:
            key_id, signature, generation = self._signer.sign_audit(self.head)
        except Exception as error:
            # Whatever the place of the keys says: the chain goes on, the seal comes later.
            self._sealed_ms = self._utc_ms()
            if self._unsealed < 10 * SEAL_EVERY_RECORDS:
                return
            raise AuditError(f"the audit cannot be sealed ({type(error).__name__})") from None
        self._write(
            what=What.SEAL,
            counters=self.counters.rows(),
            key_id=key_id.hex(),
            signature=signature.hex(),
            generation=generation,
        )
        self._unsealed = 0
        self._sealed_ms = self._utc_ms()
        if os.fstat(self._descriptor).st_size > FILE_BYTES_MAX:
            self._write(what=What.CLOSED)
            self._next_file()

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._dirty and self._descriptor >= 0:
            self._dirty = False
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Seal and end the file. May be called again."""
        if self._descriptor < 0:
            return
        try:
            self._close_windows(self._utc_ms() + WINDOW_MS)
            self._write(what=What.CLOSED)
            self.seal()
            self.sync()
        finally:
            os.close(self._descriptor)
            os.close(self._lock)
            self._descriptor = self._lock = -1

    def _sum(self, client: str, uid: int, use: Use, rule: str, day: str, facts: Facts) -> None:
        now_ms = self._utc_ms()
        place = (client, uid, use.command, rule)
        window = self._windows.get(place)
        if window is not None and (now_ms - window.began_ms >= WINDOW_MS or window.day != day):
            self._end(place)
            window = None
        if window is None:
            window = _Window(client, uid, use, rule, day, now_ms, 0, hashlib.sha256())
            self._windows[place] = window
            self._write(what=What.BEGUN, client=client, uid=uid, command=use.command, key=use.key)
        window.count += 1
        window.digest.update(msgspec.msgpack.encode(facts))

    def _close_windows(self, now_ms: int) -> None:
        for place, window in list(self._windows.items()):
            if now_ms - window.began_ms >= WINDOW_MS:
                self._end(place)

    def _end(self, place: tuple[str, int, str, str]) -> None:
        window = self._windows[place]
        self._write(
            what=What.SUMMED,
            client=window.client,
            uid=window.uid,
            command=window.use.command,
            rule=window.rule,
            day=window.day,
            key=window.use.key,
            count=window.count,
            digest=window.digest.hexdigest(),
        )
        del self._windows[place]

    def _write(self, **fields: object) -> None:
        record = Record(
            number=self.records + 1,
            at_ms=self._utc_ms(),
            before=self.head.hex(),
            **fields,  # type: ignore[arg-type]
        )
        line = line_of(record)
        try:
            written = os.write(self._descriptor, line + b"\n")
            if written != len(line) + 1:
                # A part of a line must not stay: the next would not be read.
                size = os.fstat(self._descriptor).st_size
                os.ftruncate(self._descriptor, size - written)
                raise OSError("the disk is full")
        except OSError as error:
            raise AuditError(f"the audit in {self._folder} cannot be written: {error}") from None
        self.records += 1
        self.head = line_sha256(line)
        self._unsealed += 1
        self._dirty = True

    def _open(self) -> None:
        """Go on where the last file ended; raises `AuditDamaged` when it is not as written."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(
                self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AuditError(f"another key service writes the audit in {self._folder}") from None
        except OSError as error:
            raise AuditError(f"the audit {self._folder} cannot be opened: {error}") from None
        try:
            torn = self._read_last()
            self._next_file()
            if torn:
                self._write(what=What.TORN, count=torn)
        except BaseException:
            os.close(self._lock)
            raise

    def _read_last(self) -> int:
        """Take counters and head from the last file; return the bytes of a torn last line."""
        files = audit_files(self._folder)
        if not files:
            return 0
        last = files[-1]
        self._number = int(last.stem)
        content = last.read_bytes()
        whole, newline, rest = content.rpartition(b"\n")
        for line in whole.split(b"\n") if newline else ():
            try:
                record = record_of(line)
            except msgspec.DecodeError:
                raise _damaged(last, self.records + 1) from None
            if self.records and (record.number, record.before) != (
                self.records + 1,
                self.head.hex(),
            ):
                raise _damaged(last, record.number)
            self.records, self.head = record.number, line_sha256(line)
            self.counters.apply(record)
        if rest:
            with last.open("r+b") as file:
                file.truncate(len(content) - len(rest))
        return len(rest)

    def _next_file(self) -> None:
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)
            os.close(self._descriptor)
        self._number += 1
        path = self._folder / f"{self._number:06}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise AuditError(f"the audit {path} cannot be begun: {error}") from None
        self._write_opened()

    def _write_opened(self) -> None:
        self._write(
            what=What.OPENED,
            policy=self._policy.hex(),
            audit_key=self._signer.audit_point().hex(),
            counters=self.counters.rows(),
        )


def audit_files(folder: Path) -> list[Path]:
    """Return the files of an audit in their order."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())


def last_policy(folder: Path) -> str:
    """Return the policy (SHA-256, hexadecimal) that was in force last; empty: there was none."""
    policy = ""
    for path in audit_files(folder)[-1:]:
        with path.open("rb") as file:
            for line in file:
                try:
                    policy = record_of(line).policy or policy
                except msgspec.DecodeError:
                    # Whether the file is as it was written is for its next writer to say.
                    break
    return policy


def _damaged(path: Path, number: int) -> AuditDamaged:
    return AuditDamaged(
        f"the audit {path} is damaged at record {number}; look into it with: spk hsm audit "
        "verify. Only when you know what happened, move the file out of the folder: the service "
        "then goes on from the one before"
    )
