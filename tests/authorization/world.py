"""A small world to authorize in: two regions, five measures, a few services, one card.

Amounts are chosen so that every figure in the tests can be worked out by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import msgspec

from processing.authorization.model import Case, Proof, Ruling
from processing.authorization.store import AuthorizationStore
from processing.kernel.bucket import bucket_of
from processing.kernel.database import DatabasePool
from processing.kernel.roles import Role
from processing.wire.digest import canonical_bytes
from processing.wire.explanation_examples import EXAMPLES
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    CLASS_OF_KIND,
    FACTS_MAX,
    Evidence,
    Kind,
    Line,
    Request,
    SignatureAlgorithm,
    TransactionKey,
)
from tests.plugins.town import serves

DAY: Final = date(2026, 3, 2)
NOW: Final = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TERMINAL: Final = "T0000001"
OTHER_TERMINAL: Final = "T0000002"
BLOCKED_TERMINAL: Final = "T0000003"
OTHER_PROVIDERS_TERMINAL: Final = "T0000004"
HOLDER: Final = UUID(int=0x11)
CHILD: Final = UUID(int=0x12)
STRANGER: Final = UUID(int=0x13)
CARD: Final = UUID(int=0xC1)
OTHER_CARD: Final = UUID(int=0xC2)
BLOCKED_CARD: Final = UUID(int=0xC3)
EXPIRED_CARD: Final = UUID(int=0xC4)
LAPSED_CARD: Final = UUID(int=0xC5)
SCOPED_CARD: Final = UUID(int=0xC6)

PIECE: Final = 796
CUBIC_METRE: Final = 113
ROUBLE: Final = 383

_SEED: Final = """
    INSERT INTO regulations.region VALUES
        (66, 'Asia/Yekaterinburg', 'Свердловская область', 'Sverdlovsk Oblast'),
        (77, 'Europe/Moscow', 'Москва', 'Moscow');
    INSERT INTO regulations.measure VALUES
        ('FULL', 'Полностью', 'In full', 'federal'),
        ('HALF', 'Половина', 'Half', 'regional'),
        ('CAP', 'До предельной цены', 'Up to the cap', 'federal'),
        ('HALFCAP', 'Половина до предельной цены', 'Half up to the cap', 'regional'),
        ('ZERO', 'Только учёт', 'Counted only', 'municipal');
    INSERT INTO regulations.service (
        service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to
    ) VALUES
        ('MED', 1, 'Лекарства', 'Medicines', 1, 1, 1, '2026-01-01', '2026-02-15'),
        ('MED', 2, 'Лекарства', 'Medicines', 1, 1, 1, '2026-02-16', '2026-12-31'),
        ('MED', 3, 'Лекарства', 'Medicines', 1, 1, 1, '2027-01-01', '2027-12-31'),
        ('PART', 1, 'Частично', 'In part', 1, 2, 1, '2020-01-01', '2030-12-31'),
        ('MONEY', 1, 'Рублями', 'In roubles', 2, 2, 1, '2020-01-01', '2030-12-31'),
        ('PURSE', 1, 'Сертификат', 'Certificate', 2, 1, 1, '2020-01-01', '2030-12-31'),
        ('VISIT', 1, 'Приём', 'Visit', 3, 1, 1, '2020-01-01', '2030-12-31'),
        ('MEAL', 1, 'Питание', 'Meals', 3, 2, 1, '2020-01-01', '2030-12-31'),
        ('STRICT', 1, 'С ПИН', 'With PIN', 1, 1, 2, '2020-01-01', '2030-12-31'),
        ('GRACE', 1, 'С отсрочкой', 'With grace', 1, 1, 1, '2026-01-01', '2026-02-28'),
        ('AWAY', 1, 'Не здесь', 'Not here', 1, 1, 1, '2020-01-01', '2030-12-31');
    UPDATE regulations.service SET reserve_minutes = 30 WHERE service NOT IN ('MEAL', 'STRICT');
    INSERT INTO regulations.price_rule
    SELECT s.service, s.version, m.measure, m.percent, m.capped, 'T-' || m.measure
    FROM regulations.service AS s
    CROSS JOIN (VALUES
        ('FULL', 100, FALSE), ('HALF', 50, FALSE), ('CAP', 100, TRUE), ('HALFCAP', 50, TRUE),
        ('ZERO', 0, FALSE)
    ) AS m (measure, percent, capped);
    INSERT INTO regulations.item VALUES
        ('PILL', 'PILL', 796, 0, 5000, 'Таблетки', 'Pills'),
        ('PILL-B', 'PILL', 796, 0, NULL, 'Таблетки Б', 'Pills B'),
        ('SYRUP', 'SYRUP', 796, 0, NULL, 'Сироп', 'Syrup'),
        ('WATER', 'WATER', 113, 3, 4567, 'Вода', 'Water'),
        ('VISIT', 'VISIT', 642, 0, NULL, 'Приём', 'Visit');
    INSERT INTO terminals.provider VALUES (
        '00000000-0000-0000-0000-0000000000a1', 'APTEKA-7', '7707083893', 'pharmacy', 'Аптека 7',
        'Pharmacy 7', 'D-1'
    ), (
        '00000000-0000-0000-0000-0000000000a2', 'APTEKA-8', '7728168971', 'pharmacy', 'Аптека 8',
        'Pharmacy 8', 'D-2'
    );
    INSERT INTO terminals.terminal (terminal_id, provider_id, region, state) VALUES
        ('T0000001', '00000000-0000-0000-0000-0000000000a1', 66, 1),
        ('T0000002', '00000000-0000-0000-0000-0000000000a1', 66, 1),
        ('T0000003', '00000000-0000-0000-0000-0000000000a1', 66, 2),
        ('T0000004', '00000000-0000-0000-0000-0000000000a2', 66, 1);
    INSERT INTO terminals.terminal_service
    SELECT DISTINCT t.terminal_id, s.service FROM terminals.terminal AS t, regulations.service AS s
    WHERE s.service <> 'AWAY';
"""


async def build(connection: asyncpg.Connection) -> None:
    """Fill an empty, migrated database with the world; `connection` is a superuser's."""
    await connection.execute(_SEED)
    await authorize_card(connection, CARD, HOLDER)
    await authorize_card(connection, CARD, CHILD)
    await authorize_card(connection, OTHER_CARD, HOLDER)
    await authorize_card(connection, BLOCKED_CARD, HOLDER, card_state=2)
    await authorize_card(connection, EXPIRED_CARD, HOLDER, card_valid_to=date(2026, 3, 1))
    await authorize_card(connection, LAPSED_CARD, HOLDER, valid_to=date(2026, 3, 1))
    await authorize_card(connection, SCOPED_CARD, HOLDER, scope=["VISIT"])


async def authorize_card(
    connection: asyncpg.Connection, card: UUID, holder: UUID, **changes: Any
) -> None:
    """Let a card act for a holder, if this database serves them."""
    if not await serves(connection, bucket_of(holder.bytes)):
        return
    columns = {
        "bucket": bucket_of(holder.bytes),
        "holder_id": holder,
        "card_id": card,
        "region": 66,
        "scope": None,
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2030, 12, 31),
        "card_state": 1,
        "card_valid_to": date(2031, 12, 31),
    } | changes
    await _insert(connection, "rights.card_authority", columns)


async def grant(
    connection: asyncpg.Connection,
    item_class: str,
    granted: int,
    measure: str = "FULL",
    **more: Any,
) -> UUID:
    """Grant an allowance and return its id; in pieces unless told otherwise."""
    holder = more.pop("holder", HOLDER)
    row = await connection.fetchrow("SELECT count(*) AS n FROM rights.allowance")
    assert row is not None
    number = row["n"] + 1
    columns = {
        "bucket": bucket_of(holder.bytes),
        "holder_id": holder,
        "allowance_id": UUID(int=0xA000 + number),
        "entitlement_id": UUID(int=0xE000 + number),
        "measure": measure,
        "category": "VETERAN",
        "funding": "federal",
        "item_class": item_class,
        "unit_okei": PIECE,
        "scale": 0,
        "granted": granted,
        "period": 0,
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2026, 12, 31),
        "priority": 100,
    } | more
    await _insert(connection, "rights.allowance", columns)
    return cast(UUID, columns["allowance_id"])


async def _insert(connection: asyncpg.Connection, table: str, columns: dict[str, Any]) -> None:
    numbers = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({numbers})",  # noqa: S608
        *columns.values(),
    )


def ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def pills(quantity: int, gross_kopecks: int, item: str = "PILL") -> Line:
    return Line(item, quantity, PIECE, 0, gross_kopecks)


def water(litres: int, gross_kopecks: int) -> Line:
    return Line("WATER", litres, CUBIC_METRE, 3, gross_kopecks)


def visit(gross_kopecks: int = 0) -> Line:
    return Line("VISIT", 1, 642, 0, gross_kopecks)


def sale(stan: int, *lines: Line, **changes: Any) -> Case:
    """Return a sale of `lines`, ready for the rules; by default of MED with the world's card."""
    return case(Kind.SALE, stan, lines=lines, **changes)


def reserve(stan: int, *lines: Line, **changes: Any) -> Case:
    """Return a reserve of `lines`, otherwise as `sale`."""
    return case(Kind.RESERVE, stan, lines=lines, **changes)


def completion(stan: int, original: Case | TransactionKey, *lines: Line, **changes: Any) -> Case:
    """Return what was used of a reservation: an advice without the card."""
    told = _told_of(original) | {"evidence": Evidence.NONE, "advice": True}
    return case(Kind.COMPLETION, stan, lines=lines, **(told | changes))


def goods_back(stan: int, original: Case | TransactionKey, *lines: Line, **changes: Any) -> Case:
    """Return the return of `lines` of a sale or completion, signed by its card."""
    told = _told_of(original) | {"proof": Proof.RIGHT}
    return case(Kind.RETURN, stan, lines=lines, **(told | changes))


def inquiry(stan: int, **changes: Any) -> Case:
    """Return an inquiry about everything."""
    return case(Kind.INQUIRY, stan, **({"service": "ALL", "version": 0} | changes))


def reversal(stan: int, original: Case | TransactionKey, **changes: Any) -> Case:
    """Return the terminal's wish to take `original` back."""
    return case(Kind.REVERSAL, stan, **(_told_of(original) | changes))


def _told_of(original: Case | TransactionKey) -> dict[str, Any]:
    """Return what a child names of its original."""
    parent = original.request.key if isinstance(original, Case) else original
    told: dict[str, Any] = {"proof": Proof.NOT_NEEDED, "terminal": parent.terminal_id}
    if isinstance(original, Case):
        told["card"] = UUID(bytes=original.request.card_id)
        told["holder"] = original.holder_id
        told["service"] = original.request.service
    return told | {"parent": parent}


def case(kind: Kind, stan: int, **changes: Any) -> Case:
    """Return a case; `changes` may name any of the values below."""
    value: dict[str, Any] = {
        "terminal": TERMINAL,
        "business_date": DAY,
        "message_class": CLASS_OF_KIND[kind],
        "card": CARD,
        "holder": HOLDER,
        "service": "MED",
        "version": 2 if changes.get("service", "MED") == "MED" else 1,
        "lines": (),
        "signed_at": NOW,
        "parent": None,
        "evidence": Evidence.NONE if kind is Kind.REVERSAL else Evidence.TAP,
        "proof": Proof.RIGHT,
        "advice": False,
        "nonce": 0,
    } | changes
    signed = value["evidence"] is not Evidence.NONE
    request = Request(
        kind=kind,
        key=TransactionKey(value["business_date"], value["terminal"], stan, value["message_class"]),
        evidence=value["evidence"],
        issuer_region=66,
        card_id=value["card"].bytes,
        holder_id=value["holder"].bytes,
        terminal_epoch=1,
        terminal_sequence=stan,
        signed_at_ms=ms(value["signed_at"]),
        parent=value["parent"],
        service=value["service"],
        service_version=value["version"],
        lines=tuple(value["lines"]),
        nonce=value["nonce"].to_bytes(16, "big"),
        algorithm=SignatureAlgorithm(int(signed)),
        signature=bytes(64) if signed else b"",
        advice=value["advice"],
    )
    canonical = canonical_bytes(request)
    return Case(
        request,
        canonical,
        hashlib.sha256(canonical).digest(),
        value["proof"],
        value["holder"],
        bucket_of(value["holder"].bytes),
    )


class OneConnection:
    """Lends one connection, so that what a test decides can be rolled back.

    With a `role` the connection acts as this role while it is lent, and as itself otherwise.
    """

    def __init__(self, connection: asyncpg.Connection, role: Role | None) -> None:
        self._connection = connection
        self._role = role

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend it; after an error what was done with it is undone."""
        if self._role is None:
            yield self._connection
            return
        async with self._connection.transaction():
            await self._connection.execute(f"SET LOCAL ROLE {self._role.value}")
            yield self._connection
            await self._connection.execute("RESET ROLE")


class Centre:
    """One worker's view: decides on its lane, in blocks numbered from 1."""

    def __init__(
        self, connection: asyncpg.Connection, lane: int = 1, role: Role | None = None
    ) -> None:
        self.connection = connection
        self.lane = lane
        self.block = 1
        self.store = AuthorizationStore(cast(DatabasePool, OneConnection(connection, role)))

    async def decide(self, *cases: Case, at: datetime = NOW, posting: date = DAY) -> list[Ruling]:
        """Decide a batch."""
        rulings = await self.store.authorize(self.lane, self.block, ms(at), posting, cases)
        self.block += any(one.decision is not None and not one.replayed for one in rulings)
        assert_facts_are_listed(rulings)
        return rulings

    async def decide_one(self, one: Case, at: datetime = NOW, posting: date = DAY) -> Ruling:
        """Decide a batch of one."""
        return (await self.decide(one, at=at, posting=posting))[0]

    async def used(self, allowance: UUID) -> int:
        """Return what was taken from an allowance, over all its periods."""
        return int(
            await self.connection.fetchval(
                "SELECT coalesce(sum(used), 0) FROM rights.counter WHERE allowance_id = $1",
                allowance,
            )
        )

    async def parts(self, one: Case, assigned: int = 0) -> list[tuple[int, int, int, int, int]]:
        """Return line, quantity, gross, covered and debited of each part, in order."""
        key = one.request.key
        rows = await self.connection.fetch(
            "SELECT line_no, quantity, gross_kopecks, covered_kopecks, debited FROM journal.line "
            "WHERE (business_date, terminal_id, stan, message_class, assigned) "
            "= ($1, $2, $3, $4, $5) ORDER BY line_no, part",
            key.business_date,
            key.terminal_id,
            key.stan,
            int(key.message_class),
            assigned,
        )
        return [cast(tuple[int, int, int, int, int], tuple(row)) for row in rows]


@contextlib.asynccontextmanager
async def undone(world: asyncpg.Connection) -> AsyncIterator[Centre]:
    """Give a new worker whose work is taken back at the end of the block."""
    transaction = world.transaction()
    await transaction.start()
    try:
        yield Centre(world, role=Role.PROCESSING)
    finally:
        await transaction.rollback()


def assert_facts_are_listed(rulings: Sequence[Ruling]) -> None:
    """Check that every answer carries one of the sets of facts that can explain it."""
    for ruling in rulings:
        told = set(ruling.facts)
        outcome = ruling.outcome
        assert len(told) <= FACTS_MAX, (outcome, told)
        if outcome is Outcome.RECORDED_IN_CONFLICT:
            outcome = Outcome(int(ruling.facts["reason"]))
        listed = [set(example) for example in EXAMPLES[outcome]]
        if ruling.outcome is Outcome.RECORDED_IN_CONFLICT:
            listed = [(example - {"asked"}) | {"reason"} for example in listed]
        if "expires" in told:
            listed = [(example - {"until", "ends", "since"}) | {"expires"} for example in listed]
        assert told in listed, (ruling.outcome, ruling.facts)


def amounts(ruling: Ruling) -> list[tuple[int, int]]:
    """Return covered and paid kopecks of each line; empty when nothing was given."""
    if ruling.decision is None:
        return []
    return [(line.covered_kopecks, line.paid_kopecks) for line in ruling.decision.lines]


def outcomes(rulings: Sequence[Ruling]) -> list[Outcome]:
    """Return the outcomes in order."""
    return [ruling.outcome for ruling in rulings]


def stripped(ruling: Ruling) -> Ruling:
    """Return the ruling without its place, which depends on how a batch was cut."""
    decision = ruling.decision
    if decision is not None:
        decision = msgspec.structs.replace(decision, block=0, ordinal=0, approval_code="")
    return msgspec.structs.replace(ruling, decision=decision)
