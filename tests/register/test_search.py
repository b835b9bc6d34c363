"""Finding people by what is typed, and by an index."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import asyncpg
import pytest

from processing.register.identifiers import make_enp, make_person_inn, show_snils
from processing.register.model import Reader
from processing.register.search import EmptyQuestion, Found, Question, bare_number, find
from processing.register.store import RegisterStore
from tests.register.people import (
    CHILD,
    CLERK,
    FATHER,
    MEDICINES,
    MOTHER,
    PENSIONER,
    PRESCRIPTION,
    READER,
    SNILS,
    approved,
    new,
)

ENP = make_enp(99, date(1950, 1, 1), "m", 7)
INN = make_person_inn(9980, 7)
FAMILY = {MOTHER, FATHER, CHILD}


async def fill(store: RegisterStore) -> None:
    """Give the pensioner every kind of number."""
    whose = {"citizen_id": PENSIONER}
    await store.make_change(
        CLERK,
        "номера",
        [
            new("identity_document", 1, **whose, document_type="passport", series="9904",
                number="123456"),
            new("contact", 2, **whose, channel="phone", value="79123456789", preferred=True),
            new("address", 3, **whose, address_kind="registered",
                line="г. Заречный, ул. Лесная, д. 5"),
            new("personal_account", 4, account_number="1000000001", provider_code="WATER",
                household_id=UUID(int=0xA0)),
        ],
    )  # fmt: skip
    await approved(
        store,
        new("entitlement", 5, **MEDICINES),
        new("prescription", 6, **PRESCRIPTION),
        new("policy", 7, **whose, enp=ENP, insurer="СМО", valid_from="2020-01-01", prolongs=True),
        new("certificate", 8, **whose, number="С-17", measure="CERT", category="DISABLED.2",
            item_class="ANY", amount_kopecks=1, decided_on="2026-01-01", valid_from="2026-01-01",
            valid_to="2026-12-31"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "bare"),
    [
        ("112-233-445 95", "11223344595"),
        ("+7 (912) 345-67-89", "79123456789"),
        ("№ 99 04 123456", "9904123456"),
        ("99-0000001", "99-0000001"),
        ("с-17", "С-17"),
    ],
)
def test_a_number_is_read_as_it_is_kept(typed: str, bare: str) -> None:
    assert bare_number(typed) == bare


async def test_people_are_found(store: RegisterStore, clerk: asyncpg.Connection) -> None:
    await fill(store)
    cases: list[tuple[Question, set[UUID]]] = [
        (Question(number=show_snils(SNILS[CHILD])), {CHILD}),
        (Question(number="8 912 345-67-89"), {PENSIONER}),
        (Question(number="912 345 67 89"), {PENSIONER}),
        (Question(number="99 04 123456"), {PENSIONER}),
        (Question(number="123456"), {PENSIONER}),
        (Question(number="9926 1000000001"), {PENSIONER}),
        (Question(number="1000000001"), {PENSIONER, *FAMILY}),
        (Question(number=ENP), {PENSIONER}),
        (Question(number="С-17"), {PENSIONER}),
        (Question(number="99-1"), FAMILY),
        (Question(number="000"), set()),
        (Question(name="Соколова"), {MOTHER}),
        (Question(name="Соколав"), FAMILY),
        (Question(name="соколова мария"), {MOTHER}),
        (Question(name="Мария Петровна Соколова"), {MOTHER}),
        (Question(name="Сокалова Мария"), {MOTHER}),
        (Question(name="елкин"), {PENSIONER}),
        (Question(name="ЁЛКИН С"), set()),
        (Question(name="Zz"), set()),
        (Question(name="`krby"), {PENSIONER}),
        (Question(name="Мария"), {MOTHER}),
        (Question(name="Семён Львович"), {PENSIONER}),
        (Question(name="Соколов", birth_date=date(2015, 6, 15)), {CHILD}),
        (Question(birth_date=date(1950, 1, 1)), {PENSIONER}),
        (Question(address="улица Лесная, 5"), {PENSIONER}),
        (Question(address="Заречный Лестная 5"), {PENSIONER}),
        (Question(address="Садовая 12-7"), FAMILY),
        (Question(address="Садовая 13"), set()),
        (Question(address="Садовая", name="Илья"), {CHILD}),
        (Question(number=SNILS[CHILD], name="Мария"), set()),
        (Question(address="Заречный", birth_date=date(1950, 1, 1)), {PENSIONER}),
    ]  # fmt: skip
    for question, expected in cases:
        page = await find(clerk, question, READER)
        assert {one.citizen_id for one in page.found} == expected, question
        assert not page.bounded


async def test_the_likeliest_comes_first_and_pages_follow_each_other(
    store: RegisterStore, clerk: asyncpg.Connection
) -> None:
    question = Question(name="Соколав")
    whole = (await find(clerk, question, READER)).found
    assert 1 > whole[0].likeness >= whole[1].likeness
    assert len(whole) == 3
    paged: list[Found] = []
    after = None
    while page := (await find(clerk, question, READER, after=after, count=1)).found:
        paged += page
        after = page[-1].place
    assert tuple(paged) == whole


async def test_who_was_shown_is_logged(
    store: RegisterStore, clerk: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    await find(clerk, Question(name="Соколова Мария"), Reader("anna", "звонок"))
    (read,) = await store.reads_of(MOTHER)
    assert (read.read_by, read.purpose, read.way) == ("anna", "звонок", "search")
    assert await store.reads_of(CHILD) == ()
    await find(clerk, Question(name="Никого"), Reader("anna", "звонок"))
    assert (
        await owner.fetchval("SELECT count(*) FROM register.read_log WHERE citizen_id IS NULL") == 1
    )


async def test_a_question_asks_something(clerk: asyncpg.Connection) -> None:
    for question in (Question(), Question(name="  "), Question(number="№")):
        with pytest.raises(EmptyQuestion):
            await find(clerk, question, READER)
