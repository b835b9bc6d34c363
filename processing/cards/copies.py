"""Cards when the centre has several databases: home keeps them, every other has a copy.

A copy holds the card's public keys and state, and beside the rights of its holders there the
authorities that the card has for them. A change is made at home, in one transaction with a row of
`cards.delivery` that says so, and then told to the others, refusals before permissions. Telling is
harmless to repeat and an older version never overwrites a newer one, so whoever finds a row that
an interrupted program left behind may finish its work: `CopiedCards.deliver`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from processing.cards.life import Move, MoveResult, Stage
from processing.cards.model import IssueResult, LendResult, TemporaryRow, WrittenCard
from processing.cards.store import CardStore
from processing.kernel.errors import DatabaseError, DatabaseUnavailableError
from processing.kernel.target_pools import TargetPools

DELIVERIES_AT_ONCE_MAX: Final = 500
"""Most cards that one `deliver` tells the other databases about."""

# What stops a card comes before what lets one work.
_DUE: Final = """
    SELECT d.card_id FROM cards.delivery AS d INNER JOIN cards.card AS c USING (card_id)
    ORDER BY c.state DESC, d.changed_at LIMIT $1
"""
_CARD: Final = "SELECT c AS card, c.version FROM cards.card AS c WHERE c.card_id = $1"
_AUTHORITIES: Final = """
    SELECT e AS authority, e.bucket FROM cards.authority_elsewhere AS e WHERE e.card_id = $1
"""
_STATE: Final = "SELECT state, version, pin_is_transport FROM cards.card WHERE card_id = $1"
_ACCEPT: Final = "SELECT cards.accept_copy($1, $2)"
_ACCEPT_STATE: Final = "SELECT cards.accept_state($1, $2, $3, $4)"
_BLOCK_COPY: Final = "SELECT cards.block_copy($1)"
_DONE: Final = "DELETE FROM cards.delivery WHERE card_id = $1 AND version <= $2"


class CopiedCards(CardStore):
    """The store of a centre with several databases."""

    def __init__(self, targets: TargetPools) -> None:
        super().__init__(targets.home)
        self._targets = targets

    async def issue(
        self, order_id: UUID, station_id: str, written: WrittenCard, at: datetime, on: date
    ) -> IssueResult:
        """As `CardStore.issue`; a database that is away learns of the card when it is back."""
        result = await super().issue(order_id, station_id, written, at, on)
        if result in (IssueResult.ISSUED, IssueResult.ISSUED_BEFORE):
            await self.deliver()
        return result

    async def move(self, card_id: UUID, to: Stage, by: str, reason: str) -> Move:
        """As `CardStore.move`, in every database.

        Raises `DatabaseUnavailableError` naming the targets that do not know it yet; again is
        harmless. A block takes effect wherever it can be told, also while home is away.
        """
        try:
            move = await super().move(card_id, to, by, reason)
        except DatabaseError as error:
            if to is not Stage.SUSPENDED:
                raise
            told, missed = await self._block_copies(card_id)
            raise DatabaseUnavailableError(
                f"the card is blocked in targets {_listed(told)} and not in 1, which keeps the "
                f"cards{_also(missed)}: block it again when they are back ({error})"
            ) from error
        if move.result is MoveResult.CARD_UNKNOWN:
            return move
        if untold := await self._tell_state(card_id):
            raise DatabaseUnavailableError(
                f"{move.en}, but targets {_listed(untold)} are away: they "
                "are told when they are back; ask again to see whether they were"
            )
        return move

    async def lend_code(
        self, lost: UUID, application_id: UUID, code: TemporaryRow, by: str, reason: str
    ) -> LendResult:
        """As `CardStore.lend_code`; a database that is away learns of it when it is back."""
        result = await super().lend_code(lost, application_id, code, by, reason)
        if result is LendResult.LENT:
            await self.deliver()
        return result

    async def set_own_pin(self, card_id: UUID, challenge: bytes, by: str) -> bool:
        """As `CardStore.set_own_pin`; a database that is away learns of it when it is back."""
        changed = await super().set_own_pin(card_id, challenge, by)
        if changed:
            await self.deliver()
        return changed

    async def expire(self, on: date) -> int:
        """As `CardStore.expire`; a database that is away learns of it when it is back."""
        count = await super().expire(on)
        for _ in range(0, count, DELIVERIES_AT_ONCE_MAX):
            if await self.deliver():
                break
        return count

    async def deliver(self) -> tuple[int, ...]:
        """Tell the other databases what they do not know yet.

        Returns the numbers of those that are away: what is theirs stays due. Needs the role
        spk_issuing. Raises what home raises.
        """
        away: set[int] = set()
        async with self._targets.home.connection() as connection:
            due = [row["card_id"] for row in await connection.fetch(_DUE, DELIVERIES_AT_ONCE_MAX)]
        for card_id in due:
            await self._deliver_card(card_id, away)
        return tuple(sorted(away))

    async def _deliver_card(self, card_id: UUID, away: set[int]) -> None:
        async with self._targets.home.connection() as connection:
            row = await connection.fetchrow(_CARD, card_id)
            authorities = await connection.fetch(_AUTHORITIES, card_id)
        if row is None:
            return
        for number, pool in self._targets.elsewhere.items():
            if number in away:
                continue
            theirs = [
                tuple(one["authority"])
                for one in authorities
                if self._targets.map.number_of(one["bucket"]) == number
            ]
            try:
                async with pool.connection() as connection:
                    await connection.execute(_ACCEPT, tuple(row["card"]), theirs)
            except DatabaseError:
                away.add(number)
        if not away:
            async with self._targets.home.connection() as connection:
                await connection.execute(_DONE, card_id, row["version"])

    async def _tell_state(self, card_id: UUID) -> tuple[int, ...]:
        """Tell a card's state to the other databases; those that could not be told."""
        async with self._targets.home.connection() as connection:
            row = await connection.fetchrow(_STATE, card_id)
        if row is None:
            return ()
        complete = True
        away: list[int] = []
        for number, pool in self._targets.elsewhere.items():
            try:
                async with pool.connection() as connection:
                    complete &= bool(
                        await connection.fetchval(_ACCEPT_STATE, card_id, *row.values())
                    )
            except DatabaseError:
                away.append(number)
        # Where the card itself has not come yet, `deliver` will bring it with its state.
        if complete and not away:
            async with self._targets.home.connection() as connection:
                await connection.execute(_DONE, card_id, row["version"])
        return tuple(away)

    async def _block_copies(self, card_id: UUID) -> tuple[list[int], list[int]]:
        told, untold = [], []
        for number, pool in self._targets.elsewhere.items():
            try:
                async with pool.connection() as connection:
                    await connection.execute(_BLOCK_COPY, card_id)
                told.append(number)
            except DatabaseError:
                untold.append(number)
        return told, untold


def card_store(targets: TargetPools) -> CardStore:
    """Return the store that fits the number of databases."""
    return CardStore(targets.home) if len(targets) == 1 else CopiedCards(targets)


def _listed(numbers: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _also(numbers: list[int]) -> str:
    return f", nor in {_listed(numbers)}" if numbers else ""
