"""What the register refuses: the field and the reason, in Russian and English, whoever asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest

from processing.kernel.sql_files import sql_root
from processing.register.editing import new_record
from processing.register.identifiers import make_enp, make_organisation_inn
from processing.register.model import Edit
from processing.register.records import KIND_BY_NAME, read_record
from processing.register.rules import RULES, RegisterError
from processing.register.store import RegisterStore
from tests.register.people import (
    BIRTHS,
    CHILD,
    CLERK,
    FATHER,
    MEDICINES,
    MOTHER,
    PENSIONER,
    PRESCRIPTION,
    SNILS,
    TODAY,
    approved,
    citizen,
    new,
)

PERSON = {
    "snils": "112-233-445 95",
    "last_name": "Соколова",
    "first_name": "Мария",
    "birth_date": "17.04.1951",
    "sex": "ж",
}
WRITTEN = {
    "series": "9926", "number": "1", "snils": "112-233-445 95", "item_class": "ENALAPRIL",
    "quantity": "3", "funding": "федеральный", "payment_percent": "0",
    "prescribed_on": "10.09.2026", "valid_days": "30",
}  # fmt: skip
HELD = {
    "snils": "112-233-445 95", "category": "DISABLED.2", "valid_from": "01.01.2026",
    "valid_to": "31.12.2026", "evidence": "справка",
}  # fmt: skip
ACTING = {
    "snils": "112-233-445 95", "representative_snils": "087-654-303 00", "basis": "опекун",
    "document": "решение 1", "valid_from": "01.01.2026",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "whole", "field", "typed", "ru", "en"),
    [
        ("citizen", PERSON, "snils", "112-233-445 96", "контрольная цифра", "check digit"),
        ("citizen", PERSON, "snils", "112-233-445", "введено: 9", "9 were given"),
        ("citizen", PERSON, "snils", "", "обязательно", "has to be filled in"),
        ("citizen", PERSON, "enp", "9955840882999994", "контрольная", "check digit"),
        ("citizen", PERSON, "enp", make_enp(99, TODAY, "m", 1), "другая дата", "another birth"),
        ("citizen", PERSON, "inn", "998999999131", "контрольная", "check digit"),
        ("citizen", PERSON, "inn", make_organisation_inn(7700, 1), "двенадцать", "twelve"),
        ("citizen", PERSON, "birth_date", "31.02.1951", "28 дн.", "has 28 days"),
        ("citizen", PERSON, "birth_date", "17.13.1951", "указан 13", "month 13"),
        ("citizen", PERSON, "birth_date", "17.04.51", "четырьмя", "four digits"),
        ("citizen", PERSON, "birth_date", "22.09.2026", "не наступила", "not come yet"),
        ("citizen", PERSON, "birth_date", "01.01.1800", "проверьте год", "check the year"),
        ("citizen", PERSON, "death_date", "16.04.1951", "раньше даты рождения", "before the birth"),
        ("citizen", PERSON, "last_name", "Соколова1", "нужны буквы", "letters"),
        ("citizen", PERSON, "last_name", "я" * 101, "не больше 100", "at most 100"),
        ("citizen", PERSON, "sex", "да", "мужской; женский", "male; female"),
        ("prescription", WRITTEN, "prescribed_on", "10.08.2026", "истёк 09.09.2026", "ended on"),
        ("prescription", WRITTEN, "valid_days", "20", "15 дней; 30 дней", "15 days; 30 days"),
        ("prescription", WRITTEN, "payment_percent", "25", "бесплатно; 50", "free; 50"),
        ("prescription", WRITTEN, "mkb_code", "диабет", "код МКБ-10", "ICD-10"),
        ("prescription", WRITTEN, "quantity", "1,5", "целое число", "whole number"),
        ("prescription", WRITTEN, "quantity", "1000", "от 1 до 100", "1 to 100"),
        ("category", HELD, "valid_to", "31.12.2025", "раньше дня начала", "before the first"),
        (
            "representative", ACTING, "representative_snils", "112-233-445 95",
            "самого себя", "represents themselves",
        ),
    ],
)  # fmt: skip
def test_a_field_is_refused_with_its_reason(
    kind: str, whole: Mapping[str, str], field: str, typed: str, ru: str, en: str
) -> None:
    assert read_record(KIND_BY_NAME[kind], whole, TODAY).faults == ()
    (fault,) = read_record(KIND_BY_NAME[kind], {**whole, field: typed}, TODAY).faults
    assert fault.field == field
    assert ru in fault.text("ru")
    assert en in fault.text("en")


def policy(record_id: int, enp: str, **body: object) -> Edit:
    return new(
        "policy", record_id, citizen_id=PENSIONER, enp=enp, insurer="СМО", prolongs=True, **body
    )


def acts(record_id: int, whom: UUID, who: UUID, **body: object) -> Edit:
    common = {"basis": "guardian", "document": "1", "valid_from": "2026-01-01"}
    return new(
        "representative", record_id, citizen_id=whom, representative_id=who, **(common | body)
    )


def member(record_id: int, household: UUID, who: UUID, relation: str) -> Edit:
    return new(
        "household_member", record_id, household_id=household, citizen_id=who, relation=relation
    )


ENP = make_enp(99, TODAY.replace(1950, 1, 1), "m", 1)
OTHER_ENP = make_enp(99, TODAY.replace(1950, 1, 1), "m", 2)
SECOND_HOME = UUID(int=0xA9)
DISABLED = {"category": "DISABLED.2", "valid_to": "2026-12-31", "evidence": "справка"}
BROKEN_RULES: tuple[tuple[str, str, tuple[Edit, ...]], ...] = (
    ("snils_of_one_citizen", "snils", (
        new("citizen", 1, **{**(citizen(CHILD).body or {}), "snils": SNILS[MOTHER]}),)),
    ("document_of_one_citizen", "number", (
        new("identity_document", 1, citizen_id=MOTHER, document_type="passport", number="1"),
        new("identity_document", 2, citizen_id=FATHER, document_type="passport", number="1"))),
    ("policies_overlap", "valid_from", (
        policy(1, ENP, valid_from="2020-01-01"), policy(2, OTHER_ENP, valid_from="2026-01-01"))),
    ("nobody_represents_themselves", "representative_snils", (acts(1, MOTHER, MOTHER),)),
    ("no_representation_ring", "representative_snils", (
        acts(1, MOTHER, FATHER), acts(2, FATHER, PENSIONER), acts(3, PENSIONER, MOTHER))),
    ("representatives_overlap", "valid_from", (
        acts(1, CHILD, MOTHER), acts(2, CHILD, MOTHER, valid_from="2026-06-01"))),
    ("no_household_ring", "relation", (
        new("household", SECOND_HOME, number="99-2", address="—"),
        member(1, SECOND_HOME, CHILD, "head"), member(2, SECOND_HOME, MOTHER, "child"))),
    ("one_head_of_household", "relation", (member(1, UUID(int=0xA0), PENSIONER, "head"),)),
    ("categories_overlap", "valid_from", (
        new("category", 1, citizen_id=MOTHER, valid_from="2026-01-01", **DISABLED),
        new("category", 2, citizen_id=MOTHER, valid_from="2026-12-31", **DISABLED))),
    ("category_is_known", "category", (
        new("category", 1, citizen_id=MOTHER, valid_from="2026-01-01",
            **{**DISABLED, "category": "KING"}),)),
    ("entitlements_overlap", "valid_from", (
        new("entitlement", 1, **MEDICINES),
        new("entitlement", 2, **{**MEDICINES, "valid_from": "2026-05-01"}))),
    ("nothing_pays", "funding", (new("prescription", 1, **PRESCRIPTION),)),
    ("item_unknown", "item_class", (
        new("entitlement", 1, **MEDICINES),
        new("prescription", 2, **{**PRESCRIPTION, "item_class": "SNAKE-OIL"}))),
    ("address_citizen_id_fkey", "snils", (
        new("address", 1, citizen_id=UUID(int=99), address_kind="actual", line="—"),)),
    ("one_consent_in_force", "scope", (
        new("consent", 1, citizen_id=MOTHER, scope="exchange", given_on="2025-01-01"),
        new("consent", 2, citizen_id=MOTHER, scope="exchange", given_on="2026-01-01"))),
)  # fmt: skip


async def test_a_broken_rule_is_told_in_words(store: RegisterStore) -> None:
    for rule, field, edits in BROKEN_RULES:
        with pytest.raises(RegisterError) as raised:
            await store.propose_change(CLERK, "проба", edits)
        (fault,) = raised.value.faults
        assert (raised.value.rule, fault.field) == (rule, field)
        assert re.search("[а-я]", fault.text("ru"))
        assert re.search("[a-z]", fault.text("en"))
        assert not re.search("[а-я]", fault.text("en").lower()), fault
        assert SNILS[MOTHER] not in raised.value.text("ru")
    assert await store.open_requests() == ()


async def test_what_only_touches_is_taken(store: RegisterStore) -> None:
    for edits in (
        (policy(1, ENP, valid_from="2020-01-01", valid_to="2025-12-31"),
         policy(2, OTHER_ENP, valid_from="2026-01-01")),
        (acts(3, CHILD, MOTHER), acts(4, CHILD, FATHER),
         acts(5, MOTHER, FATHER, valid_to="2026-02-01"),
         acts(6, FATHER, MOTHER, valid_from="2026-02-02")),
        (new("entitlement", 7, **MEDICINES),
         new("entitlement", 8,
             **{**MEDICINES, "valid_from": "2027-01-01", "valid_to": "2027-02-01"})),
    ):  # fmt: skip
        assert await approved(store, *edits)


async def test_an_unknown_number_is_told_with_its_field(store: RegisterStore) -> None:
    cells = {"snils": "112-233-445 95", "address_kind": "фактический", "line": "ул. Мира, 1"}
    with pytest.raises(RegisterError) as raised:
        await new_record(store, KIND_BY_NAME["address"], cells, TODAY, UUID(int=1))
    assert [fault.field for fault in raised.value.faults] == ["snils"]
    assert set(BIRTHS) == set(SNILS)


def test_every_named_rule_has_its_words() -> None:
    named: set[str] = set()
    for file in Path(sql_root() / "schema").glob("21_register_*.sql"):
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r"CONSTRAINT ([a-z_]+)", text))
        named |= set(re.findall(r"\('([a-z_]+_overlap)'", text))
        named |= set(re.findall(r"CONSTRAINT = '([a-z_]+)'", text))
        named |= set(re.findall(r"UNIQUE INDEX ([a-z_]+)", text))
    # A plan and its citizen are one key for the lines that refer to both.
    named -= {"service_plan_of_its_citizen", "rehabilitation_plan_of_its_citizen"}
    assert named <= set(RULES)
    assert set(RULES) - named == {"changed_meanwhile", "nothing_pays", "item_unknown"}
