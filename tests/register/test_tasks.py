"""Health insurance policies that go on by themselves."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg

from processing.register.identifiers import make_enp
from processing.register.store import RegisterStore
from processing.register.tasks import PROLONG_DAYS_BEFORE, prolong_policies
from tests.register.people import CLERK, MEDICINES, PENSIONER, READER, approved, changed, new

END = date(2026, 12, 31)
DUE = END - timedelta(days=PROLONG_DAYS_BEFORE)


async def insure(store: RegisterStore, *, prolongs: bool = True) -> None:
    """Give the pensioner a policy until END, with the category and the right it opens."""
    term = {"citizen_id": PENSIONER, "category": "DISABLED.2", "valid_from": date(2026, 1, 1)}
    await approved(
        store,
        new("category", 1, **term, valid_to=END, evidence="полис"),
        new("entitlement", 2, **{**MEDICINES, "measure": "OMS", "valid_to": END}),
        new(
            "policy",
            3,
            citizen_id=PENSIONER,
            enp=make_enp(99, date(1950, 1, 1), "m", 1),
            insurer="СМО",
            valid_from="2026-01-01",
            valid_to=END,
            prolongs=prolongs,
        ),
    )


async def ends(store: RegisterStore) -> set[str]:
    file = await store.citizen_file(PENSIONER, READER)
    return {str(record.body["valid_to"]) for record in file if "valid_to" in record.body}


async def test_a_policy_is_prolonged_with_its_rights_once(
    store: RegisterStore, clerk: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await insure(store)
    assert await prolong_policies(clerk, DUE - timedelta(days=1)) == 0
    assert await ends(store) == {"2026-12-31"}
    assert await prolong_policies(clerk, DUE) == 1
    assert await ends(store) == {"2027-12-31"}
    assert str(await owner.fetchval("SELECT valid_to FROM rights.entitlement")) == "2027-12-31"
    assert await prolong_policies(clerk, DUE) == 0
    # A task that did not run for years makes up for all of them.
    assert await prolong_policies(clerk, date(2030, 6, 1)) == 1
    assert await ends(store) == {"2030-12-31"}


async def test_others_are_left(store: RegisterStore, clerk: asyncpg.Connection) -> None:
    await insure(store, prolongs=False)
    assert await prolong_policies(clerk, DUE) == 0
    await approved(store, changed("policy", 3, 1, prolongs=True))
    await store.make_change(
        CLERK, "умер", [changed("citizen", PENSIONER, 1, death_date="2026-09-01")]
    )
    assert await prolong_policies(clerk, DUE) == 0
    assert await ends(store) == {"2026-12-31"}
