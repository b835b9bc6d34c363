"""A run without faults is clean, does all that the load is for, and damage to it is found."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from hsm_stub.key_material import KeyMaterial
from processing.wire.outcome import Outcome
from processing.wire.transaction import Kind
from tests.faults import auditor
from tests.faults.auditor import audit_run
from tests.faults.counters import TRAFFIC, Counted, Counters
from tests.faults.load import Ledger, Load, Told
from tests.faults.pair import serving_pair
from tests.plugins.faults import SEEN, FaultPlan
from tests.plugins.postgres import Database

REQUESTS = 400
SEEN_WHEN_QUIET = (*TRAFFIC, Counted.CONFLICTS_OF_ADVICES, Counted.INQUIRIES)


def _without_one(ledger: Ledger) -> None:
    taken_back = {one.request.parent for one in ledger.told.values()}
    approved = next(
        place
        for place, one in ledger.told.items()
        if one.answer.outcome is Outcome.APPROVED
        and one.request.kind is Kind.SALE
        and not one.request.advice
        and one.request.key not in taken_back
    )
    del ledger.told[approved]


def _changed(ledger: Ledger, change: Callable[[Told], Told]) -> None:
    place, one = next((p, one) for p, one in ledger.told.items() if one.answer.decision)
    ledger.told[place] = change(one)


def _other_code(one: Told) -> Told:
    assert one.answer.decision is not None
    decision = msgspec.structs.replace(one.answer.decision, approval_code="000000")
    return Told(one.request, msgspec.structs.replace(one.answer, decision=decision))


def _other_request(one: Told) -> Told:
    return Told(msgspec.structs.replace(one.request, nonce=bytes(16)), one.answer)


def _no_receipt(one: Told) -> Told:
    return Told(one.request, msgspec.structs.replace(one.answer, receipt=b""))


DAMAGE: list[tuple[Callable[[Ledger], None], str]] = [
    (_without_one, auditor.UNHEARD),
    (_without_one, auditor.UNITS),
    (lambda ledger: _changed(ledger, _other_code), auditor.CHANGED),
    (lambda ledger: _changed(ledger, _other_code), auditor.RECEIPT),
    (lambda ledger: _changed(ledger, _no_receipt), auditor.RECEIPT),
    (lambda ledger: _changed(ledger, _other_request), auditor.LOST),
    (lambda ledger: ledger.contradictions.append("x"), auditor.CONTRADICTED),
    (lambda ledger: ledger.never_decided.append(_any(ledger).request), auditor.NEVER_DECIDED),
]


def _any(ledger: Ledger) -> Told:
    return next(iter(ledger.told.values()))


async def test_a_quiet_run_is_clean_and_damage_to_its_ledger_is_found(
    database: Database,
    town_keys: KeyMaterial,
    fault_plan: FaultPlan,
    record_property: Callable[[str, object], None],
) -> None:
    async with serving_pair(database, town_keys) as pair:
        load = Load(pair.connect, pair.counters, fault_plan.seed, pause_seconds=0.01)
        async with load.running():
            await load.more(REQUESTS // 2)
            while not pair.counters[Counted.EXPIRIES]:
                await load.more(10)
                await pair.expire()
            await load.more(REQUESTS // 2, SEEN_WHEN_QUIET)
        assert await pair.findings(load) == []
    record_property(SEEN, f"{pair.counters}")
    pair.counters.check(
        (*TRAFFIC, Counted.CONFLICTS_OF_ADVICES, Counted.INQUIRIES, Counted.EXPIRIES)
    )
    async with database.connect() as connection:
        for damage, check in DAMAGE:
            kept = dict(load.ledger.told)
            damage(load.ledger)
            found = await audit_run(connection, load.ledger, pair.receipt_public_key)
            assert check in {finding.check for finding in found}, found
            load.ledger.told = kept
            load.ledger.contradictions.clear()
            load.ledger.never_decided.clear()
        assert await audit_run(connection, load.ledger, pair.receipt_public_key) == []


def test_a_run_that_never_saw_something_fails() -> None:
    counters = Counters()
    counters.add(Counted.APPROVALS, 1_200)
    with pytest.raises(AssertionError, match=r"never saw: .'declines'.; approvals 1,200"):
        counters.check((Counted.APPROVALS, Counted.DECLINES))
