"""One database or two: any mixture of transactions is decided and exported the same."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hsm_stub.key_material import KeyMaterial
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.roles import Role
from processing.reconciliation.model import DayOrder
from processing.reconciliation.targets import one_moment_each
from processing.wire.transaction import Answer, Request
from tests.authorization.audit import audit
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.postgres import Database
from tests.plugins.targets import Databases
from tests.plugins.town import GRANTED, Shop, authorize, build_town, business_day, citizen

CITIZENS = 8
PLACES = {"lane", "block", "ordinal", "decided_at", "decided_at_ms", "approval_code"}
"""What depends on where and when a transaction was decided."""

# A guardian's card acts for the next citizen, who may live in the other database.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sale", "sale", "guardian", "advice", "inquiry", "reversal", "repeat"]),
        st.integers(1, CITIZENS),
        st.sampled_from([1, 2, 7, GRANTED // 2, GRANTED + 1]),
    ),
    min_size=1,
    max_size=15,
)
Step = tuple[str, int, int]


class Asking:
    """Waits for one answer."""

    def __init__(self) -> None:
        self.told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, answer: Answer) -> None:
        """Take it."""
        self.told.set_result(answer)


class Mixture:
    """The requests that steps stand for, made once and asked of every centre."""

    def __init__(self) -> None:
        self._shops = [Shop(f"SHOP000{number}") for number in (1, 2)]
        self._asked: list[Request] = []

    def request(self, step: Step) -> Request:
        """Return the next request."""
        kind, number, quantity = step
        shop, who = self._shops[number % 2], citizen(number)
        before = [one for one in self._asked if one.key.terminal_id == shop.terminal_id]
        if kind == "repeat" and before:
            return before[quantity % len(before)]
        if kind == "reversal" and before:
            made = shop.reversal(before[quantity % len(before)])
        elif kind == "inquiry":
            made = shop.inquiry(who)
        elif kind == "guardian":
            child = citizen(number % CITIZENS + 1)
            made = shop.sale(who, quantity, holder_id=child.holder_id)
        else:
            made = shop.sale(who, quantity, advice=kind == "advice")
        self._asked.append(made)
        return made


async def build(databases: Databases) -> None:
    """Make the town, in which each card may also act for the next citizen."""
    await databases.everywhere(build_town)
    for number in range(1, CITIZENS + 1):
        child = citizen(number % CITIZENS + 1)
        await databases.everywhere(functools.partial(authorize, card=citizen(number), holder=child))
    await databases.everywhere(
        lambda one: one.execute(
            "SELECT journal.ensure_partitions($1::date, $1::date + 1)", business_day()
        )
    )


async def answers_of(databases: Databases, keys: KeyMaterial, asked: list[Request]) -> list[Any]:
    """Ask a centre everything in order; return what it decided, but for the places."""
    found = []
    async with LiveCentre(databases, keys, Port()).serving() as centre:
        for request in asked:
            asking = Asking()
            centre.engine.authorize(request, 0, asking)
            answer = await asking.told
            decision = answer.decision and msgspec.structs.asdict(answer.decision)
            kept = {name: value for name, value in (decision or {}).items() if name not in PLACES}
            found.append((answer.outcome, kept, answer.facts, answer.rights, answer.next_right))
    return found


async def export_of(databases: Databases) -> tuple[list[Any], Any]:
    """Return the day's lines and totals as finance reads them, but for the places."""
    order = DayOrder(business_day())
    lines = []
    async with (
        databases.pools(Role.FINANCE, REPORTING_LIMITS) as pools,
        one_moment_each(pools) as reading,
    ):
        async for rows in reading.lines(order):
            lines += [
                {name: value for name, value in row.items() if name not in PLACES} for row in rows
            ]
        return lines, await reading.totals(order)


async def check_same(
    one: Databases, two: Databases, keys: KeyMaterial, asked: list[Request]
) -> None:
    assert await answers_of(two, keys, asked) == await answers_of(one, keys, asked)
    assert await export_of(two) == await export_of(one)
    assert await two.everywhere(audit) == [[], []]


@contextlib.contextmanager
def built(*all_of_them: Databases) -> Iterator[None]:
    """Make the town in each."""
    for databases in all_of_them:
        asyncio.run(build(databases))
    yield


def test_a_mixture_is_decided_and_exported_the_same(
    database: Database, two_databases: Databases, town_keys: KeyMaterial
) -> None:
    one, mixture = Databases({1: database}), Mixture()

    @settings(
        max_examples=4,
        deadline=None,
        # A shorter example would run on what the longer one left behind.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(STEPS)
    def check_steps(steps: list[Step]) -> None:
        # What was asked before stays decided, in both alike: each example goes on from there.
        asked = [mixture.request(step) for step in steps]
        asyncio.run(check_same(one, two_databases, town_keys, asked))

    with built(one, two_databases):
        check_steps()
