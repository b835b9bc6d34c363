"""The station's journal: what it did to which card, before anything that cannot be taken back.

One file per station (`journal_file`), one record per line. `Ledger` is what the records say; a
station that starts anew knows of its cards only that.

    Begun → Loaded → Verified → LetterGiven → Issued      a card on its way, in this order
         ↘ Spoiled → SpoilTold, Dropped                   and the two ways off it

*Begun* is on the disk before the first byte is written to the card, *Loaded* before PIN, PUK and
the card's keys are set, *Verified* before the letter is printed and the card reported. So whatever
is on a card that is put in again, the journal says for whom, and how far to trust it.

PIN and PUK are drawn before *Loaded*, since a card cannot be asked for them, and a letter has to
be printed after the card is locked. They stand in *Loaded* sealed (`sealing`), under a key that
only the key service, or the bureau's encrypted batch, can give again for this one card. Drawing
them anew instead would do for some families only: a generic card whose PIN and PUK are both set to
codes that nobody knows is lost, and a YubiKey would have to be reset, its keys made and certified a
second time. The sealed codes of cards that count leave the file when it is next opened, or closed.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.journal_file import JournalFile, open_journal_file, write_lines
from processing.wire.api import CardOrder

JOURNAL_NAME: Final = "station.journal"


class Digests(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256 of what was meant to be on a card, for whoever reads it back."""

    certificate_tap: bytes
    certificate_pin: bytes
    passport: bytes


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    """What every record shares: when, in UTC milliseconds."""

    at_ms: int


class BlanksCounted(_Record, tag="blanks", frozen=True):
    """So many blanks came in (or, below zero, were taken away), and why."""

    count: int
    note: str


class Begun(_Record, tag="begun", frozen=True):
    """An order was bound to a card. `chip` names the card where it has a number of its own."""

    order: CardOrder
    family: str
    chip: str


class Loaded(_Record, tag="loaded", frozen=True):
    """Keys and objects are on the card; `codes` are PIN and PUK, sealed.

    `attestations` are the card's proofs that it made its keys (DER: certificate, device's, …).
    With `pin_is_transport` its PIN is its transport PIN, and no letter tells it.
    """

    order_id: UUID
    digests: Digests
    codes: bytes
    card_master: int
    attestations: tuple[bytes, ...] = ()
    pin_is_transport: bool = False


class Verified(_Record, tag="verified", frozen=True):
    """The card was read back and proved its keys; these go into the report. It may leave."""

    order_id: UUID
    certificate_tap: bytes
    certificate_pin: bytes
    proof: bytes


class LetterGiven(_Record, tag="letter", frozen=True):
    """The PIN letter is printed."""

    order_id: UUID


class Issued(_Record, tag="issued", frozen=True):
    """The centre took the report: the card counts."""

    order_id: UUID


class Failed(_Record, tag="failed", frozen=True):
    """The card refused something or answered wrongly; it may be tried again."""

    order_id: UUID
    fault: str


class Spoiled(_Record, tag="spoiled", frozen=True):
    """A card is waste, and no other card is made for its order: a fresh one takes its place.

    The reason in both languages.
    """

    order_id: UUID | None
    card: str
    fault: str
    ru: str
    en: str


class SpoilTold(_Record, tag="spoil_told", frozen=True):
    """The centre knows of a spoiled card, and has put a fresh order in the place of its order."""

    order_id: UUID


class Dropped(_Record, tag="dropped", frozen=True):
    """The order was taken off a card that is blank again and goes back to the blanks."""

    order_id: UUID


class Closed(_Record, tag="closed", frozen=True):
    """The books were closed: in = good + spoiled + left. The last record of a closed journal."""

    blanks: int
    good: int
    spoiled: int
    left: int
    by: str


Record = (
    BlanksCounted
    | Begun
    | Loaded
    | Verified
    | LetterGiven
    | Issued
    | Failed
    | Spoiled
    | SpoilTold
    | Dropped
    | Closed
)


class Phase(StrEnum):
    """How far a card is, as far as the journal knows."""

    BEGUN = "begun"
    LOADED = "loaded"
    VERIFIED = "verified"
    ISSUED = "issued"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One order on its way to one card."""

    order: CardOrder
    family: str
    chip: str
    begun_at_ms: int
    loaded: Loaded | None = None
    verified: Verified | None = None
    letter_given: bool = False
    issued: bool = False
    failures: int = 0

    @property
    def phase(self) -> Phase:
        """How far the card is."""
        if self.issued:
            return Phase.ISSUED
        if self.verified is not None:
            return Phase.VERIFIED
        return Phase.BEGUN if self.loaded is None else Phase.LOADED

    @property
    def guid(self) -> bytes:
        """What the card's CHUID says once it is written."""
        return self.order.card_id.bytes


class Ledger:
    """What the records say. `take` applies one; it never fails on a record that was written."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Job] = {}
        self.spoiled: list[Spoiled] = []
        self.untold: dict[UUID, Spoiled] = {}
        self.blanks = 0
        self.good = 0
        self._by_guid: dict[bytes, UUID] = {}
        self._open: dict[UUID, Job] = {}

    @property
    def open_jobs(self) -> tuple[Job, ...]:
        """Cards that are neither issued nor spoiled, the oldest first."""
        return tuple(self._open.values())

    def by_guid(self, guid: bytes | None) -> Job | None:
        """The job whose card has this GUID, issued or not."""
        order_id = None if guid is None else self._by_guid.get(guid)
        return None if order_id is None else self.jobs.get(order_id)

    def by_chip(self, chip: str) -> Job | None:
        """The open job on the card with this number of its own."""
        return next((job for job in self._open.values() if chip and job.chip == chip), None)

    def unmarked(self, family: str) -> tuple[Job, ...]:
        """Jobs begun on cards without a number of their own, which may never have been touched."""
        begun = (job for job in self._open.values() if not job.chip and job.family == family)
        return tuple(job for job in begun if job.phase is Phase.BEGUN)

    def take(self, record: Record) -> None:
        """Apply one record."""
        match record:
            case BlanksCounted():
                self.blanks += record.count
            case Begun():
                self._begin(record)
            case Loaded():
                self._change(record.order_id, loaded=record, verified=None)
            case Verified():
                self._change(record.order_id, verified=record)
            case LetterGiven():
                self._change(record.order_id, letter_given=True)
            case Issued():
                self._issue(record.order_id)
            case Failed():
                job = self.jobs.get(record.order_id)
                self._change(record.order_id, failures=1 + (job.failures if job else 0))
            case Spoiled():
                self._spoil(record)
            case SpoilTold():
                self.untold.pop(record.order_id, None)
            case Dropped():
                self._forget(record.order_id)
            case Closed():
                pass

    def _begin(self, record: Begun) -> None:
        job = Job(
            order=record.order, family=record.family, chip=record.chip, begun_at_ms=record.at_ms
        )
        self._open[record.order.order_id] = self.jobs[record.order.order_id] = job
        self._by_guid[job.guid] = record.order.order_id

    def _change(self, order_id: UUID, **changes: object) -> None:
        job = self._open.get(order_id)
        if job is not None:
            self._open[order_id] = self.jobs[order_id] = msgspec.structs.replace(job, **changes)

    def _issue(self, order_id: UUID) -> None:
        if order_id in self._open:
            # The codes of a card that counts are nobody's business any more.
            self._change(order_id, issued=True, loaded=None)
            del self._open[order_id]
            self.good += 1

    def _spoil(self, record: Spoiled) -> None:
        self.spoiled.append(record)
        if record.order_id is not None:
            self.untold[record.order_id] = record
            self._forget(record.order_id)

    def _forget(self, order_id: UUID) -> None:
        self._open.pop(order_id, None)
        job = self.jobs.pop(order_id, None)
        if job is not None:
            self._by_guid.pop(job.guid, None)


class Journal:
    """A station's journal with its ledger. Threads may share it; one program at a time."""

    def __init__(self, file: JournalFile, contents: list[bytes]) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._encoder = msgspec.json.Encoder()
        self.ledger = Ledger()
        records = [_decoded(content, file.path) for content in contents]
        for record in records:
            self.ledger.take(record)
        if any(self._needless(record) for record in records):
            file.rewrite(self._encoder.encode(self._without_codes(one)) for one in records)

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Open or make the journal in a station's folder. StationError(JOURNAL…)."""
        file, contents = open_journal_file(folder / JOURNAL_NAME)
        try:
            return cls(file, contents)
        except BaseException:
            file.close()
            raise

    def _needless(self, record: Record) -> bool:
        """Whether a record holds sealed codes of a card that is no longer on its way."""
        if not isinstance(record, Loaded) or not record.codes:
            return False
        job = self.ledger.jobs.get(record.order_id)
        return job is None or job.issued

    def _without_codes(self, record: Record) -> Record:
        if isinstance(record, Loaded) and self._needless(record):
            return msgspec.structs.replace(record, codes=b"")
        return record

    def write(self, record: Record, *, sync: bool = False) -> None:
        """Add a record and apply it; with `sync` it is on the disk when this returns."""
        with self._lock:
            self._file.append(self._encoder.encode(record))
            self.ledger.take(record)
        if sync:
            # Outside the lock: several readers' records reach the disk together.
            self._file.sync()

    def locked(self) -> threading.RLock:
        """The lock under which the ledger may be read in several steps."""
        return self._lock

    def close_books(self, record: Closed, aside: Path) -> None:
        """Keep a copy of this journal without sealed codes, and begin a new one with what is left.

        A crash in between leaves the copy and the old journal: closing again is harmless.
        """
        with self._lock:
            records = [_decoded(one, self._file.path) for one in self._file.contents()]
            kept = [self._encoder.encode(self._without_codes(one)) for one in (*records, record)]
            write_lines(aside, kept)
            note = f"left at the closing of {record.at_ms}"
            carried = BlanksCounted(at_ms=record.at_ms, count=record.left, note=note)
            self._file.rewrite([self._encoder.encode(carried)])
            self.ledger = Ledger()
            self.ledger.take(carried)

    def close(self) -> None:
        """Let the file go. Twice does nothing."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decoded(content: bytes, path: Path) -> Record:
    try:
        record: Record = msgspec.json.decode(content, type=Record)
    except msgspec.DecodeError as error:
        raise StationError(StationFault.JOURNAL, path=str(path), detail=str(error)) from None
    return record


def now_ms() -> int:
    """UTC milliseconds, for records."""
    return time.time_ns() // 1_000_000
