"""Searching: every query type, what is told, what is not, pages and order."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from processing.kernel.roles import Role
from tests.exchange import people as p
from tests.exchange.partner import BENEFITS, PENSIONS, Town, by_expression, by_id


def found(answer: dict[str, Any]) -> list[str]:
    """Give the ids of the records of an answer, in order."""
    assert answer["status"] == "succ", answer
    return [record["@id"].removeprefix("urn:uuid:") for record in answer["data"]["reg_records"]]


def predicate(*expressions: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    query = [
        {
            "seq_num": number,
            "expression1": {
                "attribute_name": name,
                "operator": operator,
                "attribute_value": value,
            },
        }
        for number, (name, operator, value) in enumerate(expressions)
    ]
    return {"query_type": "predicate", "query": query, **more}


def either(first: tuple[str, str, str], condition: str, second: tuple[str, str, str]) -> Any:
    names = ("attribute_name", "operator", "attribute_value")
    query = [
        {
            "expression1": dict(zip(names, first, strict=True)),
            "condition": condition,
            "expression2": dict(zip(names, second, strict=True)),
        }
    ]
    return {"query_type": "predicate", "query": query}


SORTED = {"sort": [{"attribute_name": "birth_date", "sort_order": "asc"}]}
OLD_TO_YOUNG = [p.GALINA, p.BORIS, p.ANNA, p.VERA]


WHO_IS_FOUND: Any = (
        (by_id(p.ANNA_SNILS), [p.ANNA]),
        (by_id("112-233-445 95", "UIN"), [p.ANNA]),
        (by_id(p.ANNA_SNILS, "ns:org:NationalID"), [p.ANNA]),
        (by_id("urn:uuid:" + str(p.HOUSEHOLD), "household_id"), [p.ANNA, p.BORIS, p.VERA]),
        (by_id("00000000501"), []),
        (predicate(("surname", "eq", "Иванова")), [p.ANNA, p.VERA]),
        (predicate(("surname", "eq", "Иванова"), ("YOB", "lt", "2000")), [p.ANNA]),
        (predicate(("snils", "in", f"{p.ANNA_SNILS}, {p.BORIS_SNILS}")), [p.ANNA, p.BORIS]),
        (either(("sex", "eq", "m"), "or", ("birth_date", "ge", "2015-01-01")), [p.BORIS, p.VERA]),
        (either(("surname", "eq", "Иванова"), "not", ("category", "eq", "VETERAN")), [p.VERA]),
        (by_expression({"birth_date": {"$gte": "1984-04-04", "$lt": "1985-05-05"}}), [p.BORIS]),
        (by_expression({"$or": [{"given_name": "Вера"}, {"given_name": {"$eq": "Анна"}}]}),
         [p.ANNA, p.VERA]),
        (by_expression({"$not": {"sex": {"$eq": "f"}}}), [p.BORIS]),
        (by_expression({"is_disabled": {"$eq": True}}), [p.GALINA]),
        # Boris was a veteran once; what counts is today.
        (by_expression({"category": {"$in": ["VETERAN"]}}), [p.ANNA]),
        (by_expression({"group_size": {"$lt": 2}}), [p.GALINA]),
        (by_expression({"surname": "Иванов'; DROP TABLE register.citizen; --"}), []),
        (by_expression({"region": {"$eq": 99}}, **SORTED), OLD_TO_YOUNG),
        (by_expression({"region": 99}, sort=[{"attribute_name": "DOB", "sort_order": "desc"}]),
         OLD_TO_YOUNG[::-1]),
)  # fmt: skip


async def test_who_is_found(town: Town) -> None:
    # One town for all: a database for each line would cost more than all of the questions.
    for criteria, expected in WHO_IS_FOUND:
        answer = await town.partner.search(criteria)
        ids = found(answer)
        wanted = [str(one) for one in expected]
        assert (ids if "sort" in criteria else sorted(ids)) == wanted, criteria
        assert answer["pagination"]["total_count"] == len(expected)


async def test_a_member_is_told_with_every_part(judged: Town) -> None:
    answer = await judged.partner.search(by_id(p.GALINA_SNILS))
    (record,) = answer["data"]["reg_records"]
    for name in ("@context", "registration_date", "last_updated"):
        assert record.pop(name)
    identifiers = [
        {
            "@type": "Identifier",
            "identifier_type": "SNILS",
            "identifier_value": p.GALINA_SNILS,
        }
    ]
    assert record == {
        "@type": "Member",
        "@id": f"urn:uuid:{p.GALINA}",
        "member_identifier": identifiers,
        "demographic_info": {
            "@type": "SRPerson",
            "identifier": identifiers,
            "name": {"@type": "Name", "surname": "Ёлкина", "given_name": "Галина"},
            "sex": "female",
            "birth_date": "1950-01-01",
            "address": {
                "@type": "Address",
                "region": "Область",
                "street_address": "ул. Мира, 2",
            },
        },
        "is_disabled": True,
        "additional_attributes": [{"benefit_categories": ["DISABLED.1"], "measures": []}],
    }


async def test_a_household_is_told_with_its_members(judged: Town) -> None:
    answer = await judged.partner.search(by_id(p.VERA_SNILS, response_entity="Group"))
    (group,) = answer["data"]["reg_records"]
    assert (group["@type"], group["group_size"]) == ("Group", 3)
    assert group["group_head_info"]["@id"] == f"urn:uuid:{p.ANNA}"
    members = [one["@id"].removeprefix("urn:uuid:") for one in group["member_list"]]
    assert members == [str(one) for one in (p.ANNA, p.BORIS, p.VERA)]


async def test_pages(judged: Town) -> None:
    everybody = by_expression({"region": {"$eq": 99}}, **SORTED)
    pages = [
        await judged.partner.search(
            {**everybody, "pagination": {"page_size": 3, "page_number": number}}
        )
        for number in (1, 2)
    ]
    assert [found(page) for page in pages] == [
        [str(one) for one in OLD_TO_YOUNG[:3]],
        [str(p.VERA)],
    ]
    assert pages[1]["pagination"] == {"page_size": 3, "page_number": 2, "total_count": 4}


async def test_only_who_consented_is_told(town: Town) -> None:
    everybody = by_expression({"region": 99}, response_entity="Member")
    by_law = {**everybody, "authorize": {"purpose": {"code": BENEFITS}}}
    by_consent = {**everybody, "consent": {"purpose": {"code": PENSIONS}}}
    assert len(found(await town.partner.search(by_law))) == 4
    assert found(await town.partner.search(by_consent)) == [str(p.ANNA)]
    group = await town.partner.search({**by_consent, "response_entity": "Group"})
    (told,) = group["data"]["reg_records"]
    assert [one["@id"] for one in told["member_list"]] == [f"urn:uuid:{p.ANNA}"]


async def test_parts_not_agreed_are_neither_told_nor_asked_by(town: Town) -> None:
    async with town.database.connect() as connection:
        await connection.execute("UPDATE exchange.peer SET parts = '{identifier,sex}'")
    (record,) = (await town.partner.search(by_id(p.ANNA_SNILS)))["data"]["reg_records"]
    assert set(record["demographic_info"]) == {"@type", "identifier", "sex"}
    assert not {"is_disabled", "additional_attributes"} & set(record)
    refused = await town.partner.search(by_expression({"surname": "Иванова"}))
    assert refused["status_reason_code"] == "rjct.filter.invalid"
    unsorted = await town.partner.search({**by_id(p.ANNA_SNILS), **SORTED})
    assert unsorted["status_reason_code"] == "rjct.sort.invalid"


async def test_every_read_is_logged_with_who_and_why(town: Town) -> None:
    for criteria in (
        by_id(p.ANNA_SNILS),
        by_id(p.VERA_SNILS, response_entity="Group"),
        by_id("00000000501"),
    ):
        await town.partner.search(criteria)
    async with town.database.connect() as connection:
        rows = await connection.fetch("SELECT * FROM register.read_log ORDER BY read_id")
    assert {(row["read_by"], row["purpose"], row["way"]) for row in rows} == {
        ("spmis.example.org", BENEFITS, "exchange")
    }
    assert [row["citizen_id"] for row in rows] == [p.ANNA, p.ANNA, p.BORIS, p.VERA, None]
    assert [row["household_id"] for row in rows] == [None, *[p.HOUSEHOLD] * 3, None]
    assert rows[0]["kinds"] == ["citizen", "address", "category", "entitlement"]


@pytest.mark.parametrize("table", ["citizen", "household_member", "consent", "read_log"])
async def test_the_exchange_reads_nobody_but_through_its_search(town: Town, table: str) -> None:
    async with town.database.connect(Role.EXCHANGE) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM register.{table}")  # noqa: S608
