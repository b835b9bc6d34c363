"""Two who write at once: one is told, nothing is lost, no rule is broken between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.register.model import Edit
from processing.register.rules import RegisterError
from processing.register.store import RegisterStore
from tests.plugins.postgres import Database
from tests.register.importing.office import Office, csv_file
from tests.register.people import (
    CHIEF,
    CHILD,
    CLERK,
    FATHER,
    MEDICINES,
    MOTHER,
    PENSIONER,
    READER,
    SNILS,
    changed,
    new,
)
from tests.register.test_bad_input import DISABLED, ENP, OTHER_ENP, acts, member, policy

Work = Callable[[RegisterStore], Awaitable[Any]]
BLOCKED = """
    SELECT EXISTS (
        SELECT FROM pg_locks AS l INNER JOIN pg_database AS d ON l.database = d.oid
        WHERE d.datname = current_database() AND NOT l.granted
    ) OR EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
    )
"""


class Two:
    """Two clerks, each with a connection, and one who watches."""

    def __init__(
        self, one: asyncpg.Connection, other: asyncpg.Connection, watching: asyncpg.Connection
    ) -> None:
        self.one = one
        self.other = RegisterStore(other)
        self._watching = watching

    async def blocked(self, *, while_running: asyncio.Task[Any]) -> None:
        """Wait until somebody waits for somebody."""
        while not await self._watching.fetchval(BLOCKED):
            assert not while_running.done(), while_running
            await asyncio.sleep(0.01)

    async def race(self, first: Work, second: Work) -> str:
        """Let the first work, the second work meanwhile, the first commit.

        Returns the rule by which the second was refused.
        """
        transaction = self.one.transaction()
        await transaction.start()
        await first(RegisterStore(self.one))
        later = asyncio.create_task(_refusal(second, self.other))
        await self.blocked(while_running=later)
        await transaction.commit()
        return await later


async def _refusal(work: Work, store: RegisterStore) -> str:
    with pytest.raises(RegisterError) as raised:
        await work(store)
    return raised.value.rule


@pytest.fixture
async def two(database: Database, owner: asyncpg.Connection) -> AsyncIterator[Two]:
    async with contextlib.AsyncExitStack() as ends:
        one, other = [
            await ends.enter_async_context(database.connect(Role.REGISTER)) for _ in range(2)
        ]
        yield Two(one, other, owner)


def made(*edits: Edit) -> Work:
    return lambda store: store.make_change(CLERK, "правка", edits)


def approving(request_id: int, by: str = CHIEF) -> Work:
    return lambda store: store.approve(request_id, by)


async def test_a_request_is_approved_once(two: Two, owner: asyncpg.Connection) -> None:
    request_id = await two.other.propose_change(
        CLERK, "рецепт", [new("entitlement", 1, **MEDICINES)]
    )
    assert await two.race(approving(request_id), approving(request_id, "sidorov")) == (
        "decided_already"
    )
    assert await owner.fetchval("SELECT count(*) FROM register.entitlement") == 1
    assert await owner.fetchval("SELECT count(*) FROM rights.entitlement") == 1


async def test_a_request_is_approved_or_refused(two: Two, owner: asyncpg.Connection) -> None:
    request_id = await two.other.propose_change(
        CLERK, "рецепт", [new("entitlement", 1, **MEDICINES)]
    )
    refused = await two.race(
        lambda store: store.refuse(request_id, CHIEF, "нет оснований"), approving(request_id)
    )
    assert refused == "decided_already"
    assert await owner.fetchval("SELECT count(*) FROM register.entitlement") == 0


LATER: dict[str, Any] = {**MEDICINES, "valid_from": "2026-05-01"}
PAIRS: dict[str, tuple[str, Edit, Edit]] = {
    "entitlements of one measure": (
        "entitlements_overlap",
        new("entitlement", 1, **MEDICINES),
        new("entitlement", 2, **LATER),
    ),
    "two policies": (
        "policies_overlap",
        policy(1, ENP, valid_from="2020-01-01"),
        policy(2, OTHER_ENP, valid_from="2026-01-01"),
    ),
    "one category twice": (
        "categories_overlap",
        new("category", 1, citizen_id=MOTHER, valid_from="2026-01-01", **DISABLED),
        new("category", 2, citizen_id=MOTHER, valid_from="2026-06-01", **DISABLED),
    ),
    "each represents the other": (
        "no_representation_ring", acts(1, MOTHER, FATHER), acts(2, FATHER, MOTHER),
    ),
    "one representative twice": (
        "representatives_overlap", acts(1, CHILD, MOTHER),
        acts(2, CHILD, MOTHER, valid_from="2026-06-01"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
async def test_two_approvals_cannot_break_a_rule_between_them(two: Two, name: str) -> None:
    rule, first, second = PAIRS[name]
    requests = [await two.other.propose_change(CLERK, "проба", [one]) for one in (first, second)]
    assert await two.race(approving(requests[0]), approving(requests[1])) == rule
    assert [one.request_id for one in await two.other.open_requests()] == [requests[1]]


GRANDCHILDREN, NEW_HOME = UUID(int=0xA8), UUID(int=0xA9)


async def test_two_changes_cannot_close_a_ring_of_households(two: Two) -> None:
    """The mother would be the pensioner's child, he the child of her own."""
    await two.other.make_change(
        CLERK,
        "дела",
        [
            new("household", GRANDCHILDREN, number="99-8", address="—"),
            member(1, GRANDCHILDREN, PENSIONER, "head"),
            new("household", NEW_HOME, number="99-9", address="—"),
            member(2, NEW_HOME, CHILD, "head"),
        ],
    )
    first = made(member(3, NEW_HOME, PENSIONER, "child"))
    assert await two.race(first, made(member(4, GRANDCHILDREN, MOTHER, "child"))) == (
        "no_household_ring"
    )


async def test_two_edits_of_one_version(two: Two) -> None:
    first = made(changed("citizen", PENSIONER, 1, first_name="Степан"))
    second = made(changed("citizen", PENSIONER, 1, first_name="Семен"))
    assert await two.race(first, second) == "changed_meanwhile"
    steps = await two.other.history("citizen", PENSIONER, READER)
    assert [step.after["first_name"] for step in steps if step.after] == ["Семён", "Степан"]


@pytest.fixture
async def office(database: Database, owner: asyncpg.Connection) -> AsyncIterator[Office]:
    pool = await open_pool(database.dsn(Role.REGISTER), Role.REGISTER, "test races")
    yield Office(pool, owner)
    await pool.close()


def file_of_mother(folder: Path) -> Path:
    """Return a file that says the mother's patronymic is another."""
    row = {
        "СНИЛС": SNILS[MOTHER], "Фамилия": "Соколова", "Имя": "Мария", "Отчество": "Павловна",
        "Дата рождения": "05.05.1985", "Пол": "ж",
    }  # fmt: skip
    return csv_file(folder / "люди.csv", [row])


async def test_an_import_waits_for_an_edit_and_keeps_what_it_says(
    two: Two, office: Office, tmp_path: Path
) -> None:
    transaction = two.one.transaction()
    await transaction.start()
    inn = changed("citizen", MOTHER, 1, inn="998900000009", first_name="Марья")
    await made(inn)(RegisterStore(two.one))
    taking = asyncio.create_task(office.take(file_of_mother(tmp_path)))
    await two.blocked(while_running=taking)
    await transaction.commit()
    done = await taking
    assert (done.sums.changed, done.sums.rejected) == (1, 0)
    steps = await two.other.history("citizen", MOTHER, READER)
    told = [
        (step.after["first_name"], step.after["patronymic"], step.after["inn"])
        for step in steps
        if step.after
    ]
    # the file's cells are set, what it does not speak of stays as the edit left it
    assert told == [
        ("Мария", "Петровна", None),
        ("Марья", "Петровна", "998900000009"),
        ("Мария", "Павловна", "998900000009"),
    ]


async def test_an_edit_that_waits_for_an_import_looks_again(
    two: Two, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, going = asyncio.Event(), asyncio.Event()
    take = office.runner._take

    async def and_wait(*arguments: Any) -> None:
        await take(*arguments)
        written.set()
        await going.wait()

    monkeypatch.setattr(office.runner, "_take", and_wait)
    taking = asyncio.create_task(office.take(file_of_mother(tmp_path)))
    await written.wait()
    edit = made(changed("citizen", MOTHER, 1, first_name="Марья"))
    editing = asyncio.create_task(_refusal(edit, two.other))
    await two.blocked(while_running=editing)
    going.set()
    assert await editing == "changed_meanwhile"
    assert (await taking).sums.changed == 1
    steps = await two.other.history("citizen", MOTHER, READER)
    assert [step.after["patronymic"] for step in steps if step.after] == ["Петровна", "Павловна"]
