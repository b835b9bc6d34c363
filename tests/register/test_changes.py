"""Changes of records: versions, history, as of, two persons, undo, and who may do what."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from processing.kernel.roles import Role
from processing.register.model import Edit
from processing.register.rules import RegisterError
from processing.register.store import RegisterStore
from tests.plugins.postgres import Database
from tests.register.people import (
    CHIEF,
    CHILD,
    CLERK,
    FAMILY,
    HOUSEHOLD,
    MEDICINES,
    MOTHER,
    PENSIONER,
    PRESCRIPTION,
    READER,
    approved,
    changed,
    new,
    removed,
)

ADDRESS = new("address", 1, citizen_id=PENSIONER, address_kind="actual", line="ул. Мира, д. 3")
MOVED = changed("address", 1, 1, line="ул. Лесная, д. 5")


async def refused(store: RegisterStore, *edits: Edit) -> str:
    with pytest.raises(RegisterError) as raised:
        await store.make_change(CLERK, "проба", edits)
    return raised.value.rule


async def bodies(owner: asyncpg.Connection) -> dict[tuple[str, UUID], str]:
    """Return every record without what tells its version."""
    rows = await owner.fetch(
        "SELECT kind, record_id, body - 'version' - 'change_id' - 'recorded_at' AS body"
        " FROM register.record"
    )
    return {(row["kind"], row["record_id"]): row["body"] for row in rows}


async def rights(owner: asyncpg.Connection) -> list[tuple[object, ...]]:
    rows = await owner.fetch(
        "SELECT allowance_id, entitlement_id, item_class, granted, period, valid_to::text"
        " FROM rights.allowance ORDER BY allowance_id"
    )
    return [tuple(row) for row in rows]


async def test_a_change_gives_versions_and_keeps_the_former(store: RegisterStore) -> None:
    first = await store.make_change(CLERK, "запись", [ADDRESS])
    second = await store.make_change(CHIEF, "переезд", [MOVED])
    third = await store.make_change(CLERK, "ошибка", [removed("address", 1, 2)])
    steps = await store.history("address", UUID(int=1), READER)
    assert [(s.version, s.change_id, s.made_by, s.reason) for s in steps] == [
        (1, first, CLERK, "запись"),
        (2, second, CHIEF, "переезд"),
        (3, third, CLERK, "ошибка"),
    ]
    lines = [(s.before and s.before["line"], s.after and s.after["line"]) for s in steps]
    assert lines == [
        (None, "ул. Мира, д. 3"),
        ("ул. Мира, д. 3", "ул. Лесная, д. 5"),
        ("ул. Лесная, д. 5", None),
    ]


async def test_the_file_is_read_as_of_any_instant(store: RegisterStore) -> None:
    await store.make_change(CLERK, "запись", [ADDRESS])
    await store.make_change(CLERK, "переезд", [MOVED])
    await store.make_change(CLERK, "ошибка", [removed("address", 1, 2)])
    steps = await store.history("address", UUID(int=1), READER)
    shown = []
    for step in steps:
        file = await store.citizen_file(PENSIONER, READER, step.made_at)
        shown.append([r.body["line"] for r in file if r.kind == "address"])
    assert shown == [["ул. Мира, д. 3"], ["ул. Лесная, д. 5"], []]
    assert [r.kind for r in await store.citizen_file(PENSIONER, READER)] == ["citizen"]


async def test_the_family_belongs_to_the_file(store: RegisterStore) -> None:
    file = await store.citizen_file(CHILD, READER)
    assert [record.kind for record in file] == ["citizen", "household", *["household_member"] * 3]
    assert file[1].record_id == HOUSEHOLD


async def test_two_who_looked_at_one_version_do_not_overwrite(store: RegisterStore) -> None:
    await store.make_change(CLERK, "запись", [ADDRESS])
    await store.make_change(CLERK, "переезд", [MOVED])
    assert await refused(store, MOVED) == "changed_meanwhile"
    assert await refused(store, removed("address", 1, 1)) == "changed_meanwhile"


async def test_a_change_frees_what_it_gives_away(store: RegisterStore) -> None:
    document = {"citizen_id": CHILD, "document_type": "passport", "number": "1"}
    await store.make_change(CLERK, "запись", [new("identity_document", 1, **document)])
    await store.make_change(
        CLERK,
        "заменили",
        [new("identity_document", 2, **document), removed("identity_document", 1, 1)],
    )
    file = await store.citizen_file(CHILD, READER)
    assert [r.record_id.int for r in file if r.kind == "identity_document"] == [2]


async def test_rights_take_two_persons(store: RegisterStore, owner: asyncpg.Connection) -> None:
    edit = new("entitlement", 1, **MEDICINES)
    assert await refused(store, edit) == "needs_second_person"
    request_id = await store.propose_change(CLERK, "по заявлению", [edit])
    assert await rights(owner) == []
    with pytest.raises(RegisterError, match="another person has to decide"):
        await store.approve(request_id, CLERK)
    change_id = await store.approve(request_id, CHIEF)
    with pytest.raises(RegisterError, match="decided already"):
        await store.approve(request_id, CHIEF)
    with pytest.raises(RegisterError, match="no such request"):
        await store.approve(request_id + 1, CHIEF)
    (step,) = await store.history("entitlement", UUID(int=1), READER)
    assert (step.change_id, step.made_by, step.approved_by) == (change_id, CLERK, CHIEF)
    row = await owner.fetchrow("SELECT * FROM rights.entitlement")
    assert row is not None
    assert (row["holder_id"], row["entitlement_id"], row["measure"]) == (
        PENSIONER,
        UUID(int=1),
        "MED.FED",
    )


async def test_a_refused_request_changes_nothing(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    before = await bodies(owner)
    request_id = await store.propose_change(CLERK, "просит", [ADDRESS], asked_by_citizen=PENSIONER)
    assert [one.request_id for one in await store.open_requests()] == [request_id]
    (edit,) = await store.request(request_id, READER)
    assert (edit.kind, edit.before, edit.base_version) == ("address", None, 0)
    await store.refuse(request_id, CHIEF, "адрес не подтверждён")
    assert await store.open_requests() == ()
    assert await bodies(owner) == before


async def test_what_cannot_be_is_refused_to_who_proposes(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    before = await bodies(owner)
    with pytest.raises(RegisterError) as raised:
        await store.propose_change(CLERK, "рецепт", [new("prescription", 2, **PRESCRIPTION)])
    assert raised.value.rule == "nothing_pays"
    assert await store.open_requests() == ()
    assert await bodies(owner) == before
    assert await rights(owner) == []


async def test_a_prescription_becomes_its_allowance(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    await approved(store, new("entitlement", 1, **MEDICINES))
    await approved(store, new("prescription", 2, **PRESCRIPTION))
    right = (UUID(int=2), UUID(int=1), "ENALAPRIL", 3, 0, "2026-12-09")
    assert await rights(owner) == [right]
    change_id = await approved(store, changed("prescription", 2, 1, quantity=5))
    assert await rights(owner) == [(*right[:3], 5, *right[4:])]
    undone = await store.undo(change_id, CLERK, "ошиблись")
    assert undone.change_id is None
    assert undone.request_id is not None
    await store.approve(undone.request_id, CHIEF)
    assert await rights(owner) == [right]
    await approved(store, removed("prescription", 2, 3))
    assert await rights(owner) == []


async def test_an_entitlement_takes_its_allowances_last_day_along(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    await approved(
        store, new("entitlement", 1, **MEDICINES), new("prescription", 2, **PRESCRIPTION)
    )
    await approved(store, changed("entitlement", 1, 1, valid_to="2026-10-01"))
    assert [row[-1] for row in await rights(owner)] == ["2026-10-01"]


async def test_other_documents_become_their_allowances(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    common = {"citizen_id": PENSIONER, "category": "DISABLED.2", "valid_from": "2026-09-01"}
    await approved(
        store,
        new(
            "certificate", 3, **common, number="С-1", measure="CERT", item_class="ANY",
            amount_kopecks=5_000_000, decided_on="2026-09-01", valid_to="2027-08-31",
        ),
        new(
            "service_plan", 4, **common, number="П-1", form="home", measure="HOME",
            issued_on="2026-09-01", valid_to="2027-08-31",
        ),
        new(
            "service_plan_line", 5, plan_id=UUID(int=4), citizen_id=PENSIONER, item_class="CARE",
            name="Уход", norm_minutes=30, times=3, per="week",
        ),
        new(
            "school_meals", 6, **common | {"citizen_id": CHILD}, school_code="SCHOOL-1",
            meal="lunch", item_class="MEAL", measure="HOME", valid_to="2027-05-31",
        ),
    )  # fmt: skip
    assert await rights(owner) == [
        (UUID(int=3), UUID(int=3), "ANY", 5_000_000, 0, "2027-08-31"),
        (UUID(int=5), UUID(int=4), "CARE", 90, 2, "2027-08-31"),
        (UUID(int=6), UUID(int=6), "MEAL", 1, 1, "2027-05-31"),
    ]


async def test_an_undo_restores_what_was_created_changed_and_removed(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    other = new(
        "contact", 2, citizen_id=MOTHER, channel="phone", value="79123456789", preferred=True
    )
    await store.make_change(CLERK, "запись", [ADDRESS, other])
    before = await bodies(owner)
    change_id = await store.make_change(
        CLERK,
        "правка",
        [
            MOVED,
            removed("contact", 2, 1),
            new("contact", 3, citizen_id=MOTHER, channel="post", value="да", preferred=True),
        ],
    )
    assert await bodies(owner) != before
    undone = await store.undo(change_id, CHIEF, "не тот человек")
    assert undone.request_id is None
    assert await bodies(owner) == before
    with pytest.raises(RegisterError, match="undone already"):
        await store.undo(change_id, CHIEF, "ещё раз")
    # An undo is a change like any other and can be undone itself.
    assert undone.change_id is not None
    await store.undo(undone.change_id, CHIEF, "всё-таки тот")
    file = await store.citizen_file(MOTHER, READER)
    assert [r.record_id.int for r in file if r.kind == "contact"] == [3]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ([ADDRESS], [MOVED]),
        ([ADDRESS], [removed("address", 1, 1)]),
    ],
)
async def test_an_undo_says_what_stands_upon_it(
    store: RegisterStore, first: list[Edit], later: list[Edit]
) -> None:
    change_id = await store.make_change(CLERK, "запись", first)
    later_id = await store.make_change(CHIEF, "правка", later)
    with pytest.raises(RegisterError, match="later changes"):
        await store.undo(change_id, CLERK, "ошибка")
    (standing,) = await store.later_changes(change_id)
    assert (standing.kind, standing.change_id, standing.records) == ("address", later_id, 1)


async def test_a_removed_record_that_came_back_stands_upon_its_removal(
    store: RegisterStore,
) -> None:
    await store.make_change(CLERK, "запись", [ADDRESS])
    removal = await store.make_change(CLERK, "снята", [removed("address", 1, 1)])
    await store.make_change(CLERK, "снова", [ADDRESS])
    with pytest.raises(RegisterError, match="later changes"):
        await store.undo(removal, CLERK, "ошибка")


async def test_what_others_refer_to_stays(store: RegisterStore) -> None:
    with pytest.raises(RegisterError) as raised:
        await store.make_change(CLERK, "снять", [removed("citizen", CHILD, 1)])
    assert "refer" in str(raised.value)


async def test_the_first_change_of_all_can_be_undone(
    store: RegisterStore, owner: asyncpg.Connection
) -> None:
    (first,) = await owner.fetch("SELECT change_id FROM register.change")
    await store.undo(first["change_id"], CHIEF, "начать заново")
    assert await bodies(owner) == {}
    await store.make_change(CLERK, "снова", FAMILY)
    assert {r.version for r in await store.citizen_file(CHILD, READER)} == {2}


async def test_nobody_rewrites_the_past(store: RegisterStore, owner: asyncpg.Connection) -> None:
    await store.make_change(CLERK, "запись", [ADDRESS])
    await store.make_change(CLERK, "переезд", [MOVED])
    await store.citizen_file(CHILD, READER)
    for statement in (
        "UPDATE register.history SET version = version",
        "UPDATE register.change SET reason = reason",
        "UPDATE register.read_log SET purpose = purpose",
        *(
            f"{verb} register.{table}"
            for verb in ("DELETE FROM", "TRUNCATE")
            for table in ("history", "read_log")
        ),
        "DELETE FROM register.change",
        "TRUNCATE register.change CASCADE",
    ):
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute(statement)


async def test_nothing_is_written_outside_of_a_change(owner: asyncpg.Connection) -> None:
    for statement in (
        "UPDATE register.citizen SET last_name = 'X'",
        "DELETE FROM register.household_member",
        "INSERT INTO register.household VALUES (gen_random_uuid(), '2', 99, 'X')",
    ):
        with pytest.raises(asyncpg.NotNullViolationError):
            await owner.execute(statement)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await owner.execute("TRUNCATE register.citizen CASCADE")


REACHED_BY_NOBODY = (
    "SELECT * FROM register.citizen",
    "SELECT snils FROM register.citizen LIMIT 1",
    "SELECT * FROM register.record",
    "SELECT * FROM register.history",
    "SELECT * FROM register.read_log",
    "SELECT * FROM register.requested_edit",
    "SELECT * FROM register.citizen_as_of('00000000-0000-0000-0000-0000000000c0', now())",
    "SELECT * FROM register.one_record('citizen', '00000000-0000-0000-0000-0000000000c0')",
    "SELECT register.apply_edits('{}')",
    "SELECT register.take_back(1)",
    "UPDATE register.citizen SET last_name = 'X'",
    "INSERT INTO register.read_log (read_by, purpose, way, kinds) VALUES ('a', 'b', 'c', '{}')",
)


async def test_persons_are_reached_through_functions_alone(database: Database) -> None:
    for role in (Role.REGISTER, Role.PROCESSING, Role.ISSUING, Role.OPERATOR, Role.FINANCE):
        async with database.connect(role) as connection:
            for statement in REACHED_BY_NOBODY:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)


async def test_every_read_is_logged(store: RegisterStore, owner: asyncpg.Connection) -> None:
    await store.citizen_file(CHILD, READER)
    await store.history("citizen", CHILD, READER)
    await store.record("citizen", CHILD, READER)
    await store.record("household", HOUSEHOLD, READER)
    reads = await store.reads_of(CHILD)
    assert [(r.read_by, r.purpose, r.way) for r in reads] == [
        (READER.by, READER.purpose, way) for way in ("file", "history", "file")
    ]
    assert [len(r.kinds) for r in reads] == [1, 1, 22]
    assert await store.reads_of(CHILD, before=reads[0].read_id) == reads[1:]
    assert await store.reads_of(MOTHER) == ()
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM register.read_log WHERE household_id = $1", HOUSEHOLD
        )
        == 1
    )
