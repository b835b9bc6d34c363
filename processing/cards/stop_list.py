"""Stop-lists are made here: which cards, complete or incremental, and that nobody is hit wrongly.

An increment is cumulative and small. A complete list comes when there is none, when the increment
would hold more than a tenth of it, or when it is asked for. The format is
`processing.wire.stop_list`; the key service signs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import asyncpg
import msgspec

from processing.cards.signing import SignDocument
from processing.kernel.clock import Clock
from processing.kernel.database import DatabasePool
from processing.kernel.errors import DatabaseBusyError
from processing.wire.golomb_set import SALT_BYTES, GolombSet
from processing.wire.stop_list import ListKind, StopList, StopListHead

USE_MINUTES: Final = 24 * 60
"""How long a terminal may serve by one list alone; a fresh increment begins it anew."""
INCREMENT_SHARE_MAX: Final = 10
"""An increment holds at most a tenth of what the complete list holds, or `INCREMENT_SMALL`."""
INCREMENT_SMALL: Final = 5_000
SALTS_MAX: Final = 16
"""Salts tried until no card is hit wrongly. With a million stopped and two million served cards
one salt in about 130 hits one, so that sixteen never do."""

_REFERENCE_BYTES: Final = 16
_INPUT: Final = "SELECT * FROM cards.stop_list_input"
_KEEP: Final = "SELECT cards.keep_stop_list($1, $2, $3, $4, $5, $6)"
_NUMBER: Final = "SELECT max(number) FROM cards.stop_list WHERE (number = base) = $1"
_FILE: Final = """
    SELECT number, base, issued_at, stopped, body FROM cards.stop_list
    WHERE (number = base) = $1 ORDER BY number DESC LIMIT 1
"""


class StopListInput(msgspec.Struct, frozen=True, kw_only=True):
    """The cards as one snapshot saw them: 16 bytes each, in one string.

    `newest` and `base` are the numbers of the newest list and of the newest complete one, 0 when
    there is none. `stopped_since` and `let_go_since` are counted from the complete one.
    """

    newest: int
    base: int
    stopped: bytes
    served: bytes
    stopped_since: bytes
    let_go_since: bytes


class IssuedList(msgspec.Struct, frozen=True, kw_only=True):
    """One issued file. `stopped` counts all stopped cards, also when it is an increment."""

    number: int
    base: int
    issued_at: datetime
    stopped: int
    body: bytes

    @property
    def complete(self) -> bool:
        """Whether it needs no other."""
        return self.number == self.base


class StopListStore:
    """Stop-lists in the database that keeps the cards; the pool acts as spk_issuing."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def input(self) -> StopListInput:
        """Return what the next list is made of."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_INPUT)
        return StopListInput(**dict(row or {}))

    async def keep(self, issued: IssuedList, members: bytes) -> None:
        """Keep a list; `members` are the cards of a complete one, 16 bytes each."""
        fields = (issued.number, issued.base, issued.issued_at, issued.stopped, issued.body)
        async with self._pool.transaction() as connection:
            try:
                await connection.execute(_KEEP, *fields, members)
            except asyncpg.UniqueViolationError:
                raise DatabaseBusyError(
                    f"stop-list {issued.number} was issued by another program just now: ask again"
                ) from None

    async def newest_number(self, *, complete: bool) -> int | None:
        """Return the number of what `newest` returns."""
        async with self._pool.connection() as connection:
            number: int | None = await connection.fetchval(_NUMBER, complete)
            return number

    async def newest(self, *, complete: bool) -> IssuedList | None:
        """Return the newest complete list, or the newest increment to it; None if there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_FILE, complete)
        return None if row is None else IssuedList(**dict(row))


async def issue_stop_list(
    store: StopListStore, sign: SignDocument, region: int, clock: Clock, *, complete: bool = False
) -> IssuedList:
    """Make, sign and keep the next list; `complete` asks for a complete one though none is due.

    Raises the errors of the pool and of the key service; then nothing is kept.
    """
    cards = await store.input()
    base = await store.newest(complete=True)
    if complete or base is None or increment_is_long(cards):
        unsigned = new_complete_list(cards, region, clock.utc_ms())
    else:
        unsigned = new_increment(cards, StopList.read(base.body), clock.utc_ms())
    key_id, signature = await sign(unsigned.document)
    increment = unsigned.head.kind is ListKind.INCREMENTAL
    if increment and base is not None and StopList.signer_of(base.body) != key_id:
        # The content key has a new generation: with the old one retired, the base is worth nothing.
        unsigned = new_complete_list(cards, region, clock.utc_ms())
        key_id, signature = await sign(unsigned.document)
    issued = IssuedList(
        number=unsigned.head.number,
        base=unsigned.head.base,
        issued_at=datetime.fromtimestamp(unsigned.head.issued_at_ms / 1000, UTC),
        stopped=len(cards.stopped) // _REFERENCE_BYTES,
        body=unsigned.encode(key_id, signature),
    )
    await store.keep(issued, cards.stopped if issued.complete else b"")
    return issued


def increment_is_long(cards: StopListInput) -> bool:
    """Whether terminals are better off with a complete list."""
    changed = (len(cards.stopped_since) + len(cards.let_go_since)) // _REFERENCE_BYTES
    stopped = len(cards.stopped) // _REFERENCE_BYTES
    return changed > max(INCREMENT_SMALL, stopped // INCREMENT_SHARE_MAX)


def new_complete_list(cards: StopListInput, region: int, now_ms: int) -> StopList:
    """Return a complete list, unsigned, that hits no served card."""
    number = cards.newest + 1
    head = StopListHead(
        kind=ListKind.COMPLETE,
        region=region,
        number=number,
        base=number,
        issued_at_ms=now_ms,
        use_minutes=USE_MINUTES,
    )
    for salt in _salts():
        stopped = GolombSet.of(_references(cards.stopped), salt)
        if not stopped.hits(_references(cards.served)):
            return StopList(head=head, stopped=stopped, let_go=GolombSet.of((), salt))
    raise AssertionError(_UNEVEN)


def new_increment(cards: StopListInput, base: StopList, now_ms: int) -> StopList:
    """Return an increment to `base`, unsigned, that is right for every card known now.

    A card issued since `base` may look as if it were in it: it is let go like the others.
    """
    head = StopListHead(
        kind=ListKind.INCREMENTAL,
        region=base.head.region,
        number=cards.newest + 1,
        base=base.head.number,
        issued_at_ms=now_ms,
        use_minutes=USE_MINUTES,
    )
    since = set(_references(cards.stopped_since))
    going_on = [card for card in _references(cards.stopped) if card not in since]
    free = [*_references(cards.let_go_since), *base.stopped.hits(_references(cards.served))]
    for salt in _salts():
        stopped, let_go = GolombSet.of(since, salt), GolombSet.of(free, salt)
        if not stopped.hits(_references(cards.served)) and not let_go.hits(going_on):
            return StopList(head=head, stopped=stopped, let_go=let_go)
    raise AssertionError(_UNEVEN)


_UNEVEN: Final = f"{SALTS_MAX} salts in a row hit a card: the hash is not spread evenly"


def _salts() -> Iterator[bytes]:
    return (os.urandom(SALT_BYTES) for _ in range(SALTS_MAX))


def _references(cards: bytes) -> Iterator[bytes]:
    for place in range(0, len(cards), _REFERENCE_BYTES):
        yield cards[place : place + _REFERENCE_BYTES]
