"""One auditor for every fault run: the terminals' ledger against the centre's tables and receipts.

`audit_run` returns what does not hold, each finding with the name of the check that found it; an
empty list means that nothing acknowledged was lost, nothing debited twice and nobody overspent.
It trusts neither side: tests/authorization/audit.py holds the tables against each other, what is
here holds them against what the terminals were told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from hsm_stub.key_material import KeyMaterial
from hsm_stub.keyring import SigningKey
from processing.kernel.database import Connection
from processing.wire.digest import request_digest
from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt, ReceiptError
from processing.wire.transaction import Kind, TransactionKey
from tests.authorization.audit import audit
from tests.faults.load import Ledger, Told
from tests.plugins.town import allowance_id, citizen

FINDINGS_MAX: Final = 20
"""Of each check; one that fails everywhere would otherwise fill the screen."""

CONTRADICTED: Final = "asked again, another decision"
NEVER_DECIDED: Final = "asked for long, never decided"
LOST: Final = "an acknowledged decision is not in the journal"
CHANGED: Final = "an acknowledged decision stands otherwise in the journal"
UNHEARD: Final = "an event of which no terminal was told"
TWICE: Final = "one content decided twice"
KEY_TWICE: Final = "one key has two events"
COUNTER: Final = "a counter differs from the debits in the journal"
UNITS: Final = "a counter differs from what the terminals were told"
RECEIPT: Final = "a receipt is missing or proves nothing"

_EVENTS: Final = """
    SELECT business_date, terminal_id, stan, message_class, assigned, kind, request_digest, outcome,
        approval_code, posting_date, lane, block, ordinal, covered_kopecks, paid_kopecks
    FROM journal.event
"""
_EXPIRY: Final = 9
"""Kind of the event that ends a reservation: the centre's own, told to nobody."""

_USED: Final = "SELECT allowance_id, sum(used)::bigint AS used FROM rights.counter GROUP BY 1"
_DEBITED_BY_ADVICES: Final = """
    WITH RECURSIVE family AS (
        SELECT e.business_date, e.terminal_id, e.stan, e.message_class
        FROM journal.event AS e WHERE e.advice AND e.kind IN (2, 3)
        UNION
        SELECT e.business_date, e.terminal_id, e.stan, e.message_class
        FROM journal.event AS e
        INNER JOIN family AS f
            ON (f.business_date, f.terminal_id, f.stan, f.message_class)
                = (e.parent_business_date, e.parent_terminal_id, e.parent_stan,
                    e.parent_message_class)
    )
    SELECT l.allowance_id, sum(l.debited)::bigint AS debited
    FROM journal.line AS l
    INNER JOIN family AS f USING (business_date, terminal_id, stan, message_class)
    WHERE l.allowance_id IS NOT NULL GROUP BY 1
"""
_EXPIRED: Final = """
    SELECT parent_business_date, parent_terminal_id, parent_stan, parent_message_class
    FROM journal.event WHERE kind = 9
"""


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    check: str
    detail: str

    def __str__(self) -> str:
        return f"{self.check}: {self.detail}"


async def audit_run(
    connection: Connection, ledger: Ledger, receipt_public_key: bytes
) -> list[Finding]:
    """Return what does not hold after a run; `connection` reads rights and journal."""
    told = list(ledger.told.values())
    findings = [Finding(CONTRADICTED, detail) for detail in ledger.contradictions]
    findings += [Finding(NEVER_DECIDED, f"{one.key}") for one in ledger.never_decided]
    findings += [Finding(*text.split(": ", 1)) for text in await audit(connection)]
    findings += await _journal_findings(connection, told)
    findings += await _unit_findings(connection, told)
    findings += _receipt_findings(told, receipt_public_key)
    found: Counter[str] = Counter()
    few = []
    for finding in findings:
        found[finding.check] += 1
        if found[finding.check] <= FINDINGS_MAX:
            few.append(finding)
    return few


def receipt_public_key_of(material: KeyMaterial) -> bytes:
    """Return the key that checks the receipts of a key service with `material`."""
    return material.ring.active(SigningKey.RECEIPT).public_point


async def _journal_findings(connection: Connection, told: list[Told]) -> list[Finding]:
    """Hold each acknowledged decision against its event, and the events against each other."""
    findings = []
    rows = await connection.fetch(_EVENTS)
    keys = Counter(tuple(row.values())[:5] for row in rows)
    findings += [Finding(KEY_TWICE, f"{key}") for key, times in keys.items() if times > 1]
    contents = Counter(row["request_digest"] for row in rows if any(row["request_digest"]))
    findings += [Finding(TWICE, digest.hex()) for digest, times in contents.items() if times > 1]
    kept = {(_key(row), row["request_digest"]): row for row in rows}
    heard = set()
    for one in told:
        decision = one.answer.decision
        if decision is None:
            # Another request has the key: the answer that tells so has no event of its own.
            continue
        place = (_short(one.request.key), request_digest(one.request))
        heard.add(place)
        row = kept.get(place)
        if row is None:
            findings.append(Finding(LOST, f"{one.request.key}: {decision}"))
            continue
        stands = (
            row["outcome"], row["approval_code"], row["posting_date"],
            row["lane"], row["block"], row["ordinal"],
            list(zip(row["covered_kopecks"] or (), row["paid_kopecks"] or (), strict=True)),
        )  # fmt: skip
        said = (
            decision.outcome, decision.approval_code, decision.posting_date,
            decision.lane, decision.block, decision.ordinal,
            [(line.covered_kopecks, line.paid_kopecks) for line in decision.lines],
        )  # fmt: skip
        if stands != said:
            findings.append(Finding(CHANGED, f"{one.request.key}: said {said}, stands {stands}"))
    # Terminals ask until they are told, so there is nothing that nobody was told.
    findings += [
        Finding(UNHEARD, f"{place[0]} outcome {row['outcome']}")
        for place, row in kept.items()
        if place not in heard and any(place[1]) and row["kind"] != _EXPIRY
    ]
    return findings


async def _unit_findings(connection: Connection, told: list[Told]) -> list[Finding]:
    """Count from what the terminals were told how much is gone; advices of sales aside."""
    expired = {tuple(row) for row in await connection.fetch(_EXPIRED)}
    gone = _units_gone(told, expired)
    used: Counter[UUID] = Counter()
    for row in await connection.fetch(_USED):
        used[UUID(bytes=row["allowance_id"].bytes)] += row["used"]
    for row in await connection.fetch(_DEBITED_BY_ADVICES):
        used[UUID(bytes=row["allowance_id"].bytes)] -= row["debited"]
    return [
        Finding(UNITS, f"{allowance}: terminals {gone[allowance]}, counter {used[allowance]}")
        for allowance in gone.keys() | used.keys()
        if gone[allowance] != used[allowance]
    ]


def _units_gone(told: list[Told], expired: set[tuple[object, ...]]) -> Counter[UUID]:
    """Return what is gone of each allowance, by the answers alone and by docs/kinds.md."""
    kept: dict[TransactionKey, int] = {}
    holders: dict[TransactionKey, bytes] = {}
    by_kind: defaultdict[Kind, list[Told]] = defaultdict(list)
    for one in told:
        by_kind[one.request.kind].append(one)
    for one in by_kind[Kind.SALE] + by_kind[Kind.RESERVE]:
        if one.answer.outcome is Outcome.APPROVED and not one.request.advice:
            kept[one.request.key] = _units(one)
            holders[one.request.key] = one.request.holder_id
    for one in by_kind[Kind.COMPLETION]:
        parent = _parent(one)
        beyond = one.answer.facts.get("reason") == "405"
        if parent in kept and (one.answer.outcome is Outcome.APPROVED or beyond):
            kept[one.request.key] = min(_units(one), kept[parent])
            holders[one.request.key] = one.request.holder_id
            kept[parent] = 0
    taken_back = {
        _parent(one)
        for one in by_kind[Kind.REVERSAL]
        if one.answer.outcome is Outcome.APPROVED
        and one.answer.facts.get("original", "return") == "return"
    }
    for one in by_kind[Kind.RETURN]:
        parent = _parent(one)
        approved = one.answer.outcome is Outcome.APPROVED
        if parent in kept and approved and one.request.key not in taken_back:
            kept[parent] -= _units(one)
    gone: Counter[UUID] = Counter()
    for key, units in kept.items():
        if key not in taken_back and _short(key) not in expired:
            gone[_allowance(holders[key])] += units
    return gone


def _units(one: Told) -> int:
    return sum(line.quantity for line in one.request.lines)


def _parent(one: Told) -> TransactionKey:
    assert one.request.parent is not None
    return one.request.parent


def _receipt_findings(told: list[Told], public_key: bytes) -> list[Finding]:
    findings = []
    for one in told:
        decision = one.answer.decision
        if decision is None:
            continue
        try:
            Receipt.decode(one.answer.receipt).verify(decision, public_key)
        except ReceiptError as error:
            findings.append(Finding(RECEIPT, f"{one.request.key}: {error}"))
    return findings


def _key(row: asyncpg.Record) -> tuple[object, ...]:
    return row["business_date"], row["terminal_id"], row["stan"], row["message_class"]


def _short(key: TransactionKey) -> tuple[object, ...]:
    return key.business_date, key.terminal_id, key.stan, int(key.message_class)


def _allowance(holder_id: bytes) -> UUID:
    return allowance_id(citizen(int.from_bytes(holder_id) - int.from_bytes(citizen(0).holder_id)))
