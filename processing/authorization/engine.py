"""The engine: from a parsed request to a committed, signed answer (DESIGN §6).

Card key from the cache, signature check, queue, one database call for the batch, then one
signature of the key service for the block. Declines are values; what cannot be decided now (the
database or the key service is away) is `TRY_LATER`, which stores nothing under the key: the
terminal asks again and meets the stored decision if there was one after all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.errors import HsmError
from processing.authorization.batcher import Batcher, BatchMetrics, QueueFullError
from processing.authorization.model import Case, Ruling
from processing.authorization.proof import CardCache, check_proof
from processing.authorization.store import AuthorizationStore, BatchCollisionError
from processing.journal.lane import Lane
from processing.journal.receipts import BlockSigner, sign_block
from processing.journal.store import JournalStore
from processing.kernel.bucket import bucket_of
from processing.kernel.clock import Clock
from processing.kernel.database import LOST
from processing.kernel.errors import DatabaseBusyError, DatabaseError
from processing.wire.digest import canonical_bytes
from processing.wire.outcome import Outcome
from processing.wire.transaction import NO_HOLDER, Answer, Decision, Kind, Request

ATTEMPTS_MAX: Final = 8
"""How often a batch is tried when it meets another worker's, or the database is away."""

RETRY_PAUSE_MS: Final = 100
"""Pause before the second attempt when the database is away; doubles with each further one."""

AWAY_MAX_MS: Final = 3_000
"""How long a batch waits for a database that went away: well below what a terminal waits for its
answer. The batches behind it are tried once each until the database is back."""

SIGNED_AT_MAX_MS: Final = 253_402_300_799_999
"""The last moment of the year 9999: the wire takes later ones, calendars do not."""

AWAY: Final = (DatabaseError, asyncpg.InterfaceError, *LOST)
"""What says that the database could not be asked, or that its answer was lost."""

OFFERED: Final = frozenset(
    {Kind.INQUIRY, Kind.RESERVE, Kind.SALE, Kind.COMPLETION, Kind.RETURN, Kind.REVERSAL}
)
"""Kinds that this release decides; the others are answered with NOT_SUPPORTED."""


class Engine:
    """Decides requests in batches. `start` before the first, `drain` after the last."""

    def __init__(
        self,
        *,
        store: AuthorizationStore,
        journal: JournalStore,
        signer: BlockSigner,
        lane: Lane,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: BatchMetrics,
    ) -> None:
        self._store = store
        self._journal = journal
        self._signer = signer
        self._lane = lane
        self._clock = clock
        self._log = log
        self._next_block: int | None = None
        self._database_away = False
        self._signer_away = False
        self._cards = CardCache(store.card_key)
        self._batcher = Batcher(self._decide, metrics)

    def start(self) -> None:
        """Begin to decide; needs a running event loop."""
        self._batcher.start()

    async def drain(self) -> None:
        """Decide what was accepted, then end."""
        await self._batcher.drain()

    async def authorize(self, request: Request, first_right: int = 0) -> Answer:
        """Return the answer to a request whose form is sound and whose sender is authentic.

        `first_right` is where an inquiry's page of rights begins.
        """
        if request.kind not in OFFERED:
            return _undecided(request, Outcome.NOT_SUPPORTED)
        if request.signed_at_ms > SIGNED_AT_MAX_MS:
            return _undecided(request, Outcome.MALFORMED, {"field": "48.ST"})
        try:
            case = await self._case(request)
            answer = await self._batcher.submit(case)
            if request.kind is Kind.INQUIRY and answer.outcome.approved:
                answer = await self._with_rights(answer, case, first_right)
        except (QueueFullError, DatabaseBusyError):
            return _undecided(request, Outcome.TRY_LATER)
        except DatabaseError as error:
            self._log.error("database away", fault=str(error))
            return _undecided(request, Outcome.TRY_LATER)
        return answer

    async def _case(self, request: Request) -> Case:
        """Check the signature and find the rights holder's bucket.

        Raises `QueueFullError` where that work would be for nothing.
        """
        self._batcher.check_room()
        canonical = canonical_bytes(request)
        digest = hashlib.sha256(canonical).digest()
        card = await self._cards.card(request.card_id)
        holder_id = request.holder_id
        if holder_id == NO_HOLDER and card is not None:
            holder_id = card.key.holder_id
        return Case(
            request,
            canonical,
            digest,
            check_proof(request, digest, card),
            UUID(bytes=holder_id),
            bucket_of(holder_id),
        )

    async def _with_rights(self, answer: Answer, case: Case, first_right: int) -> Answer:
        rights, more = await self._store.rights(
            case.request, case.holder_id, self._clock.utc_ms(), first_right
        )
        return Answer(
            outcome=answer.outcome,
            key=answer.key,
            decision=answer.decision,
            facts=answer.facts,
            rights=tuple(rights),
            next_right=first_right + len(rights) if more else 0,
            receipt=answer.receipt,
        )

    async def _decide(self, cases: Sequence[Case]) -> list[Answer]:
        """Decide a batch; each case that cannot be decided gets `TRY_LATER`. Never raises."""
        try:
            if self._signer_away:
                # Nothing is decided that could not be answered: only the batch during which the
                # key service went away is decided without a receipt.
                await self._signer.ping()
                self._signer_away = False
            rulings = await self._rulings(cases)
            receipts = await self._receipts(cases, rulings)
        except (*AWAY, HsmError) as error:
            self._signer_away = self._signer_away or isinstance(error, HsmError)
            if _is_wrong_input(error):
                return await self._decide_halves(cases, error)
            self._log.error("batch undecided", cases=len(cases), fault=str(error))
            return [_undecided(case.request, Outcome.TRY_LATER) for case in cases]
        except Exception as error:
            return await self._decide_halves(cases, error)
        return [
            Answer(
                outcome=ruling.outcome,
                key=case.request.key,
                decision=ruling.decision,
                facts=ruling.facts,
                rights=ruling.balances,
                receipt=receipts.get(_place(ruling.decision), b""),
            )
            for case, ruling in zip(cases, rulings, strict=True)
        ]

    async def _decide_halves(self, cases: Sequence[Case], error: Exception) -> list[Answer]:
        """Halve a batch that cannot be decided, until the poisonous case stands alone."""
        if len(cases) == 1:
            key = cases[0].request.key
            self._log.error(
                "case cannot be decided",
                terminal=key.terminal_id,
                stan=key.stan,
                exc_info=error,
            )
            return [_undecided(cases[0].request, Outcome.TRY_LATER)]
        middle = len(cases) // 2
        return [*await self._decide(cases[:middle]), *await self._decide(cases[middle:])]

    async def _rulings(self, cases: Sequence[Case]) -> list[Ruling]:
        """Call the database until the batch is decided or the attempts are used up.

        A lost connection leaves open whether the batch was committed; asking again is safe, since
        the replay rule finds what was. Block numbers come from the database after every fault.
        """
        began_ns = self._clock.monotonic_ns()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                rulings = await self._rulings_once(cases)
            except BatchCollisionError:
                if attempt == ATTEMPTS_MAX:
                    raise
            except AWAY as error:
                pause_ms = RETRY_PAUSE_MS * 2 ** (attempt - 1)
                waited_ms = (self._clock.monotonic_ns() - began_ns) // 1_000_000
                given_up = self._database_away or waited_ms + pause_ms > AWAY_MAX_MS
                if given_up or attempt == ATTEMPTS_MAX or _is_wrong_input(error):
                    self._database_away = not _is_wrong_input(error)
                    raise
                self._log.warning("batch tried again", attempt=attempt, fault=str(error))
                await asyncio.sleep(pause_ms / 1000)
            else:
                self._database_away = False
                return rulings
        raise AssertionError("the loop returns or raises")

    async def _rulings_once(self, cases: Sequence[Case]) -> list[Ruling]:
        """Call the database once. After a fault the number of the next block is not known."""
        block, self._next_block = self._next_block, None
        if block is None:
            block = await self._lane.next_block()
        now_ms = self._clock.utc_ms()
        rulings = await self._store.authorize(
            self._lane.number, block, now_ms, self._clock.local_date(now_ms), cases
        )
        written = any(ruling.decision and not ruling.replayed for ruling in rulings)
        self._next_block = block + 1 if written else block
        return rulings

    async def _receipts(
        self, cases: Sequence[Case], rulings: Sequence[Ruling]
    ) -> dict[tuple[int, int, int], bytes]:
        """Return the receipts of all decisions, by place.

        A block made just now is signed from the rulings. The blocks of replayed decisions are read
        back, and so is one with a reversal, which may have closed an unknown key in it as well.
        """
        blocks: defaultdict[tuple[int, int], list[Decision]] = defaultdict(list)
        incomplete = set()
        for case, ruling in zip(cases, rulings, strict=True):
            if ruling.decision is not None:
                place = (ruling.decision.lane, ruling.decision.block)
                blocks[place].append(ruling.decision)
                if ruling.replayed or case.request.kind is Kind.REVERSAL:
                    incomplete.add(place)
        receipts = {}
        for place, found in blocks.items():
            decisions = sorted(found, key=lambda decision: decision.ordinal)
            if place in incomplete:
                decisions = await self._journal.block(*place)
                if not decisions:
                    # Part of the block was archived: the receipt given then is the only one.
                    continue
            signed_at_ms = decisions[0].decided_at_ms
            for decision, receipt in zip(
                decisions, await sign_block(self._signer, decisions, signed_at_ms), strict=True
            ):
                receipts[_place(decision)] = receipt
        return receipts


def _place(decision: Decision | None) -> tuple[int, int, int]:
    return (0, 0, 0) if decision is None else (decision.lane, decision.block, decision.ordinal)


def _undecided(request: Request, outcome: Outcome, facts: dict[str, str] | None = None) -> Answer:
    return Answer(outcome=outcome, key=request.key, facts=facts or {})


def _is_wrong_input(error: Exception) -> bool:
    """Whether asyncpg could not write a value for the server, which no repetition would change."""
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
