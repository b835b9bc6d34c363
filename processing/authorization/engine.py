"""The engine: from a parsed request to a committed, signed answer (DESIGN §6).

Read from top to bottom, `Engine` is the way of one transaction: card key from the cache, signature
check, queue, one database call for the batch, then one signature of the key service for the block,
while the database decides the next batch. Up to the queue and from the receipts on, nothing waits:
only what is rare (a card not seen lately, an inquiry's rights) is an errand of its own.

Declines are values; what cannot be decided now (the database or the key service is away) is
`TRY_LATER`, which stores nothing under the key: the terminal asks again and meets the stored
decision if there was one after all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import asyncpg
import msgspec
from asyncpg.pgproto import pgproto
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.errors import HsmError
from processing.authorization.batcher import Batcher, BatchMetrics
from processing.authorization.model import Asker, Case, Ruling, Waiting
from processing.authorization.proof import CardCache, KnownCard, check_proof
from processing.authorization.store import AuthorizationStore, BatchCollisionError
from processing.journal.lane import Lane
from processing.journal.receipts import BlockSigner, sign_block
from processing.journal.store import JournalStore
from processing.kernel.bucket import bucket_of
from processing.kernel.clock import Clock
from processing.kernel.database import LOST
from processing.kernel.errands import Errands
from processing.kernel.errors import DatabaseBusyError, DatabaseError
from processing.wire.digest import canonical_bytes
from processing.wire.explanation import sent_facts
from processing.wire.outcome import Outcome
from processing.wire.transaction import NO_HOLDER, Answer, Decision, Kind, Request

ATTEMPTS_MAX: Final = 8
"""How often a batch is tried when it meets another worker's, or the database is away."""

RETRY_PAUSE_MS: Final = 100
"""Pause before the second attempt when the database is away; doubles with each further one."""

AWAY_MAX_MS: Final = 3_000
"""How long a batch waits for a database that went away: well below what a terminal waits for its
answer. The batches behind it are tried once each until the database is back."""

BLOCKS_UNSIGNED_MAX: Final = 2
"""Most decided blocks that wait for the key service; then no further batch is decided."""

SIGNED_AT_MAX_MS: Final = 253_402_300_799_999
"""The last moment of the year 9999: the wire takes later ones, calendars do not."""

AWAY: Final = (DatabaseError, asyncpg.InterfaceError, *LOST)
"""What says that the database could not be asked, or that its answer was lost."""


# Asking an enum for a member takes as long as three look-ups.
_INQUIRY: Final = Kind.INQUIRY
_REVERSAL: Final = Kind.REVERSAL


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
        self._unsigned = asyncio.Semaphore(BLOCKS_UNSIGNED_MAX)
        self._errands = Errands()

    def start(self) -> None:
        """Begin to decide; needs a running event loop."""
        self._batcher.start()

    async def drain(self) -> None:
        """Decide and answer what was accepted, then end."""
        await self._errands.done()
        await self._batcher.drain()
        await self._errands.done()

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Decide a request whose form is sound and whose sender is authentic.

        `asker` is told the answer, now or later. `first_right` is where an inquiry's page of
        rights begins.
        """
        if request.signed_at_ms > SIGNED_AT_MAX_MS:
            asker.answered(_undecided(request, Outcome.MALFORMED, {"field": "48.ST"}))
        elif not self._batcher.admits():
            asker.answered(_undecided(request, Outcome.TRY_LATER))
        elif (card := self._cards.known(request.card_id, request.evidence)) is not None:
            self._queue(request, first_right, asker, card)
        else:
            self._errands.start(self._look_up_card(request, first_right, asker))

    async def _look_up_card(self, request: Request, first_right: int, asker: Asker) -> None:
        """Go on with a request whose card was not seen lately."""
        try:
            card = await self._cards.card(request.card_id, request.evidence)
            if self._batcher.admits():
                self._queue(request, first_right, asker, card)
                return
        except DatabaseBusyError:
            pass
        except DatabaseError as error:
            self._log.error("database away", fault=str(error))
        except Exception as error:
            self._log.error("card not looked up", exc_info=error)
        asker.answered(_undecided(request, Outcome.TRY_LATER))

    def _queue(
        self, request: Request, first_right: int, asker: Asker, card: KnownCard | None
    ) -> None:
        """Check the signature, find the rights holder's bucket, and let the case wait."""
        canonical = canonical_bytes(request)
        digest = hashlib.sha256(canonical).digest()
        holder_id = request.holder_id
        if card is not None and holder_id in (card.key.holder_id, NO_HOLDER):
            holder_id, bucket = card.key.holder_id, card.bucket
        else:
            bucket = bucket_of(holder_id)
        case = Case(
            request,
            canonical,
            digest,
            check_proof(request, digest, card),
            # A UUID like any other, made in a tenth of the time.
            pgproto.UUID(holder_id),
            bucket,
        )
        self._batcher.put(Waiting(case, asker, first_right))

    async def _decide(self, batch: Sequence[Waiting]) -> None:
        """Decide a batch; its receipts and answers are made while the next is decided.

        Each case that cannot be decided gets `TRY_LATER`. Never raises.
        """
        try:
            if self._signer_away:
                # Nothing is decided that could not be answered: only what is under way when the
                # key service goes is decided without a receipt.
                await self._signer.ping()
                self._signer_away = False
            rulings = await self._rulings([waiting.case for waiting in batch])
        except (*AWAY, HsmError) as error:
            if _is_wrong_input(error):
                await self._decide_halves(batch, error)
                return
            self._log.error("batch undecided", cases=len(batch), fault=str(error))
            _tell_to_try_later(batch)
        except Exception as error:
            await self._decide_halves(batch, error)
        else:
            await self._unsigned.acquire()
            self._errands.start(self._sign_and_answer(batch, rulings))

    async def _decide_halves(self, batch: Sequence[Waiting], error: Exception) -> None:
        """Halve a batch that cannot be decided, until the poisonous case stands alone."""
        if len(batch) == 1:
            key = batch[0].case.request.key
            self._log.error(
                "case cannot be decided",
                terminal=key.terminal_id,
                stan=key.stan,
                exc_info=error,
            )
            _tell_to_try_later(batch)
            return
        middle = len(batch) // 2
        await self._decide(batch[:middle])
        await self._decide(batch[middle:])

    async def _sign_and_answer(self, batch: Sequence[Waiting], rulings: Sequence[Ruling]) -> None:
        """Have a decided batch signed, then tell its askers."""
        try:
            receipts = await self._receipts(batch, rulings)
            answers = [
                Answer(
                    outcome=ruling.outcome,
                    key=waiting.case.request.key,
                    decision=ruling.decision,
                    facts=sent_facts(ruling.facts),
                    rights=ruling.balances,
                    receipt=_receipt_of(ruling.decision, receipts),
                )
                for waiting, ruling in zip(batch, rulings, strict=True)
            ]
        except Exception as error:
            self._signer_away = self._signer_away or isinstance(error, HsmError)
            foreseen = isinstance(error, (*AWAY, HsmError))
            self._log.error(
                "batch decided, not answered",
                cases=len(batch),
                fault=str(error),
                exc_info=None if foreseen else error,
            )
            _tell_to_try_later(batch)
            return
        finally:
            self._unsigned.release()
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.case.request.kind is _INQUIRY and answer.outcome.approved:
                self._errands.start(self._answer_with_rights(waiting, answer))
            else:
                waiting.asker.answered(answer)

    async def _answer_with_rights(self, waiting: Waiting, answer: Answer) -> None:
        case, first_right = waiting.case, waiting.first_right
        try:
            rights, more = await self._store.rights(
                case.request, case.holder_id, self._clock.utc_ms(), first_right
            )
        except Exception as error:
            if not isinstance(error, DatabaseBusyError):
                self._log.error("rights not looked up", exc_info=error)
            _tell_to_try_later([waiting])
            return
        waiting.asker.answered(
            msgspec.structs.replace(
                answer,
                rights=tuple(rights),
                next_right=first_right + len(rights) if more else 0,
            )
        )

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
        self, batch: Sequence[Waiting], rulings: Sequence[Ruling]
    ) -> dict[tuple[int, int], list[bytes]]:
        """Return the receipts of all blocks with decisions, by lane and block, then by ordinal.

        A block made just now is signed from the rulings. The blocks of replayed decisions are read
        back, and so is one with a reversal, which may have closed an unknown key in it as well.
        A block of which a part was archived has none: the receipt given then is the only one.
        """
        blocks: defaultdict[tuple[int, int], list[Decision]] = defaultdict(list)
        incomplete = set()
        for waiting, ruling in zip(batch, rulings, strict=True):
            if (decision := ruling.decision) is not None:
                place = (decision.lane, decision.block)
                blocks[place].append(decision)
                if ruling.replayed or waiting.case.request.kind is _REVERSAL:
                    incomplete.add(place)
        receipts = {}
        for place, decisions in blocks.items():
            whole = sorted(decisions, key=_ordinal)
            if place in incomplete:
                whole = await self._journal.block(*place)
            if whole:
                receipts[place] = await sign_block(self._signer, whole, whole[0].decided_at_ms)
        return receipts


_ordinal: Final = attrgetter("ordinal")


def _receipt_of(decision: Decision | None, receipts: dict[tuple[int, int], list[bytes]]) -> bytes:
    if decision is None:
        return b""
    block = receipts.get((decision.lane, decision.block))
    return b"" if block is None else block[decision.ordinal]


def _tell_to_try_later(batch: Sequence[Waiting]) -> None:
    for waiting in batch:
        waiting.asker.answered(_undecided(waiting.case.request, Outcome.TRY_LATER))


def _undecided(request: Request, outcome: Outcome, facts: dict[str, str] | None = None) -> Answer:
    return Answer(outcome=outcome, key=request.key, facts=facts or {})


def _is_wrong_input(error: Exception) -> bool:
    """Whether asyncpg could not write a value for the server, which no repetition would change."""
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
