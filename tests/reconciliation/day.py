"""A small region and one day in it, decided by the engine itself, with amounts worked out by hand.

The holder has ten pieces of class N02 at 50 per cent (rounded half-up per line) and visits at 100.

| | terminal | number | what | gross | covered | paid |
| --- | --- | --- | --- | --- | --- | --- |
| 1 | PH000001 | 1 | 3 pieces at 300.03 | 30 003 | 15 001.5 → 15 002 | 15 001 |
| 2 | PH000001 | 2 | 2 pieces at 19.99, and 5.00 of what nobody pays | 2 499 | 1 000 | 1 499 |
| 3 | PH000001 | 3 | 10 pieces at 100.00, of which 5 are left | 10 000 | 2 500 | 7 500 |
| 4 | PH000001 | 4 | takes number 2 back: 2 pieces are free again | −2 499 | −1 000 | −1 499 |
| 5 | PH000002 | 1 | a service that nobody knows: refused | | | |
| 6 | PH000002 | 2 | 1 piece at 2.00 | 200 | 100 | 100 |
| 7 | CL000001 | 1 | a visit at 1 500.00 | 150 000 | 150 000 | 0 |

The next day (posting date) come, still of the same business date:

| 8 | PH000001 | 5 | offline, 1 piece at 1.00: the last one | 100 | 50 | 50 |
| 9 | PH000001 | 1 | offline under a number that is taken, 4 pieces at 4.00 | 400 | 0 | 400 |

and of the next business date:

| 10 | PH000002 | 3 | takes its number 2 back | −200 | −100 | −100 |
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from processing.authorization.model import Case, Proof, Ruling
from processing.authorization.store import AuthorizationStore
from processing.kernel.bucket import bucket_of
from processing.kernel.database import DatabasePool, open_pool
from processing.kernel.roles import Role
from processing.reconciliation.terminal_totals import TerminalSettlement
from processing.wire.digest import canonical_bytes
from processing.wire.iso8583.messages import TerminalTotals, Totals, TotalsAnswer
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    CLASS_OF_KIND,
    Evidence,
    Kind,
    Line,
    MessageClass,
    Request,
    SignatureAlgorithm,
    TransactionKey,
)
from tests.plugins.postgres import Database

DAY: Final = date(2026, 11, 20)
NEXT_DAY: Final = date(2026, 11, 21)
QUIET_DAY: Final = date(2026, 11, 19)
PHARMACY: Final = "APTEKA-1"
PHARMACY_1: Final = "PH000001"
PHARMACY_2: Final = "PH000002"
CLINIC: Final = "CL000001"
CARD_ID: Final = UUID("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
HOLDER_ID: Final = UUID("0195519e-5a00-7000-8000-000000000007")

_REGION: Final = f"""
    INSERT INTO regulations.region VALUES (77, 'Europe/Moscow', 'Регион', 'Region');
    INSERT INTO regulations.measure VALUES
        ('M50', 'Лекарства', 'Medicines', 'regional'), ('OMS', 'Приём', 'Visit', 'oms');
    INSERT INTO regulations.service VALUES
        ('MED', 1, 'Лекарства', 'Medicines', 1, 2, 1, '2026-01-01', '2026-12-31'),
        ('VISIT', 1, 'Приём', 'Visit', 3, 1, 1, '2026-01-01', '2026-12-31');
    INSERT INTO regulations.price_rule VALUES
        ('MED', 1, 'M50', 50, FALSE, 'T-50'), ('VISIT', 1, 'OMS', 100, FALSE, 'T-OMS');
    INSERT INTO regulations.item VALUES
        ('10/12', 'N02', 796, 0, NULL, 'Таблетки', 'Tablets'),
        ('VISIT-1', 'VISIT', 642, 0, NULL, 'Приём', 'Visit');
    INSERT INTO terminals.provider VALUES
        (gen_random_uuid(), '{PHARMACY}', '0101234567', 'pharmacy', 'Аптека', 'Pharmacy',
         '=1+2, "a"; b'),
        (gen_random_uuid(), 'CLINIC-1', '7701234567', 'clinic', 'Поликлиника', 'Clinic', 'C-2');
    INSERT INTO terminals.terminal (terminal_id, provider_id, region)
    SELECT t.terminal_id, p.provider_id, 77
    FROM (VALUES ('{PHARMACY_1}', '{PHARMACY}'), ('{PHARMACY_2}', '{PHARMACY}'),
        ('{CLINIC}', 'CLINIC-1')) AS t (terminal_id, code)
    INNER JOIN terminals.provider AS p USING (code);
    INSERT INTO terminals.terminal_service
    SELECT t.terminal_id, s.service FROM terminals.terminal AS t, regulations.service AS s;
    INSERT INTO rights.card_authority VALUES
        ({bucket_of(HOLDER_ID.bytes)}, '{HOLDER_ID}', '{CARD_ID}', 77, NULL, '2026-01-01',
         '2026-12-31', 1, '2030-01-01');
    INSERT INTO rights.allowance
    SELECT {bucket_of(HOLDER_ID.bytes)}, '{HOLDER_ID}', gen_random_uuid(), gen_random_uuid(),
        a.measure, a.category, a.funding, a.item_class, a.unit_okei, 0, 10, 0,
        '2026-01-01', '2026-12-31'
    FROM (VALUES ('M50', 'VETERAN', 'regional', 'N02', 796),
        ('OMS', 'INSURED', 'oms', 'VISIT', 642))
        AS a (measure, category, funding, item_class, unit_okei);
    SELECT journal.ensure_partitions('2026-11-01', '2026-12-31');
"""  # noqa: S608 - the values are written here

TABLETS: Final = "10/12"
UNPAID: Final = "X-1"


def line(item: str, quantity: int, gross_kopecks: int) -> Line:
    """Return a line of pieces, or of a visit."""
    return Line(item, quantity, 642 if item == "VISIT-1" else 796, 0, gross_kopecks)


def sale(
    terminal_id: str,
    stan: int,
    *lines: Line,
    service: str = "MED",
    advice: bool = False,
) -> Request:
    """Return a sale of the day, made at noon."""
    return _request(Kind.SALE, terminal_id, stan, DAY, service=service, lines=lines, advice=advice)


def reversal(terminal_id: str, stan: int, original_stan: int, day: date = DAY) -> Request:
    """Return what takes back a sale of the day."""
    parent = TransactionKey(DAY, terminal_id, original_stan, MessageClass.FINANCIAL)
    return _request(Kind.REVERSAL, terminal_id, stan, day, service="MED", parent=parent)


def _request(
    kind: Kind,
    terminal_id: str,
    stan: int,
    day: date,
    *,
    service: str,
    lines: tuple[Line, ...] = (),
    advice: bool = False,
    parent: TransactionKey | None = None,
) -> Request:
    signed = kind is Kind.SALE
    return Request(
        kind=kind,
        key=TransactionKey(day, terminal_id, stan, CLASS_OF_KIND[kind]),
        evidence=Evidence.TAP if signed else Evidence.NONE,
        issuer_region=77,
        card_id=CARD_ID.bytes,
        holder_id=HOLDER_ID.bytes,
        terminal_epoch=1,
        terminal_sequence=stan,
        signed_at_ms=noon_ms(day),
        parent=parent,
        service=service,
        service_version=1,
        lines=lines,
        nonce=bytes(16),
        algorithm=SignatureAlgorithm.ECDSA_P256_SHA256 if signed else SignatureAlgorithm.NONE,
        signature=bytes(64) if signed else b"",
        advice=advice,
    )


def noon_ms(day: date) -> int:
    """Return noon UTC of a day in milliseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 1000


TRANSACTIONS: Final = (
    (DAY, sale(PHARMACY_1, 1, line(TABLETS, 3, 30_003)), Outcome.APPROVED),
    (
        DAY,
        sale(PHARMACY_1, 2, line(TABLETS, 2, 1_999), line(UNPAID, 1, 500)),
        Outcome.APPROVED_PARTLY,
    ),
    (DAY, sale(PHARMACY_1, 3, line(TABLETS, 10, 10_000)), Outcome.APPROVED_PARTLY),
    (DAY, reversal(PHARMACY_1, 4, 2), Outcome.APPROVED),
    (DAY, sale(PHARMACY_2, 1, line(TABLETS, 1, 100), service="GHOST"), Outcome.SERVICE_UNKNOWN),
    (DAY, sale(PHARMACY_2, 2, line(TABLETS, 1, 200)), Outcome.APPROVED),
    (DAY, sale(CLINIC, 1, line("VISIT-1", 1, 150_000), service="VISIT"), Outcome.APPROVED),
    (NEXT_DAY, sale(PHARMACY_1, 5, line(TABLETS, 1, 100), advice=True), Outcome.APPROVED),
    (
        NEXT_DAY,
        sale(PHARMACY_1, 1, line(TABLETS, 4, 400), advice=True),
        Outcome.RECORDED_IN_CONFLICT,
    ),
    (NEXT_DAY, reversal(PHARMACY_2, 3, 2, NEXT_DAY), Outcome.APPROVED),
)
"""Posting date, request and outcome, in the order in which they are decided."""

SETTLEMENTS: Final = {
    # Number 2 of PH000002 was taken back on the next day, yet it is of this one.
    PHARMACY_1: TerminalTotals(
        approved_count=5,
        gross_kopecks=43_002,
        covered_kopecks=18_552,
        paid_kopecks=24_450,
        reversed_count=1,
        reversed_covered_kopecks=1_000,
    ),
    PHARMACY_2: TerminalTotals(
        approved_count=1,
        gross_kopecks=200,
        covered_kopecks=100,
        paid_kopecks=100,
        reversed_count=1,
        reversed_covered_kopecks=100,
    ),
    CLINIC: TerminalTotals(
        approved_count=1,
        gross_kopecks=150_000,
        covered_kopecks=150_000,
        paid_kopecks=0,
        reversed_count=0,
        reversed_covered_kopecks=0,
    ),
}
"""What each terminal counted of the business date, reversed transactions included."""


async def fill(database: Database) -> None:
    """Make the region and let the engine decide the day."""
    async with database.connect() as admin:
        await admin.execute("SET ROLE spk_owner")
        await admin.execute(_REGION)
    pool = await open_pool(database.dsn(), Role.PROCESSING, "tests")
    try:
        for block, (posting_date, request, outcome) in enumerate(TRANSACTIONS, start=1):
            ruling = await decide(pool, block, posting_date, request)
            assert ruling.outcome is outcome, (block, ruling)
    finally:
        await pool.close()


async def decide(pool: DatabasePool, block: int, posting_date: date, request: Request) -> Ruling:
    """Decide one request a minute after noon."""
    canonical = canonical_bytes(request)
    case = Case(
        request,
        canonical,
        hashlib.sha256(canonical).digest(),
        Proof.RIGHT if request.signature else Proof.NOT_NEEDED,
        HOLDER_ID,
        bucket_of(HOLDER_ID.bytes),
    )
    decided_at_ms = noon_ms(posting_date) + 60_000
    (ruling,) = await AuthorizationStore(pool).authorize(
        1, block, decided_at_ms, posting_date, [case]
    )
    return ruling


async def settle(
    database: Database, terminal_id: str, totals: TerminalTotals, *, after_minutes: int = 0
) -> TotalsAnswer:
    """Let a terminal send its totals of the day."""
    received_at = timedelta(minutes=after_minutes) // timedelta(milliseconds=1) + noon_ms(NEXT_DAY)
    message = Totals(
        terminal_id=terminal_id, stan=900 + after_minutes, business_date=DAY, totals=totals
    )
    pool = await open_pool(database.dsn(), Role.PROCESSING, "tests")
    try:
        return await TerminalSettlement(pool).settle(message, received_at)
    finally:
        await pool.close()
