"""A small register for tests: a region, codes, a family of three and a lone pensioner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from processing.register.identifiers import make_snils
from processing.register.model import Edit, Reader
from processing.register.store import RegisterStore

TODAY = date(2026, 9, 21)
READER = Reader("petrova", "проверка в тесте")
CLERK, CHIEF = "petrova", "ivanov"

MOTHER, FATHER, CHILD, PENSIONER = (UUID(int=0xC0 + n) for n in range(4))
HOUSEHOLD = UUID(int=0xA0)
SNILS = {
    MOTHER: make_snils(900_000_001),
    FATHER: make_snils(900_000_002),
    CHILD: make_snils(900_000_003),
    PENSIONER: make_snils(900_000_004),
}
BIRTHS = {
    MOTHER: ("Соколова", "Мария", "Петровна", "1985-05-05", "f"),
    FATHER: ("Соколов", "Пётр", "Ильич", "1984-04-04", "m"),
    CHILD: ("Соколов", "Илья", "Петрович", "2015-06-15", "m"),
    PENSIONER: ("Ёлкин", "Семён", "Львович", "1950-01-01", "m"),
}

CODES = """
INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region');
INSERT INTO regulations.measure (measure, name_ru, name_en, funding) VALUES
    ('MED.FED', 'Лекарства', 'Medicines', 'federal'),
    ('OMS', 'Помощь', 'Care', 'oms'),
    ('HOME', 'Услуги', 'Services', 'regional'),
    ('CERT', 'Сертификат', 'Certificate', 'municipal');
INSERT INTO regulations.service (
    service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to
) VALUES ('MEDICINE', 1, 'Лекарства', 'Medicines', 1, 1, 1, '2026-01-01', '2030-12-31');
INSERT INTO regulations.price_rule (service, version, measure, percent, capped, tariff)
VALUES ('MEDICINE', 1, 'MED.FED', 100, TRUE, 'T');
INSERT INTO regulations.item (item, item_class, unit_okei, scale, name_ru, name_en) VALUES
    ('ENALAPRIL-10', 'ENALAPRIL', 778, 0, 'Эналаприл', 'Enalapril'),
    ('MEAL-1', 'MEAL', 796, 0, 'Обед', 'Lunch'),
    ('CARE-1', 'CARE', 355, 0, 'Уход', 'Care');
INSERT INTO register.benefit_category VALUES
    ('DISABLED.2', 'Инвалид II группы', 'Disabled, group II'),
    ('FAMILY.LARGE', 'Многодетная семья', 'Large family');
"""


def new(kind: str, record_id: int | UUID, **body: Any) -> Edit:
    """Return the edit that makes a record."""
    key = record_id if isinstance(record_id, UUID) else UUID(int=record_id)
    return Edit(kind, key, 0, {name: plain(value) for name, value in body.items()})


def changed(kind: str, record_id: int | UUID, version: int, **body: Any) -> Edit:
    """Return the edit that sets columns of a record."""
    edit = new(kind, record_id, **body)
    return Edit(edit.kind, edit.record_id, version, edit.body)


def removed(kind: str, record_id: int | UUID, version: int) -> Edit:
    """Return the edit that removes a record."""
    return Edit(kind, new(kind, record_id).record_id, version, None)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    return str(value) if isinstance(value, UUID | date) else value


def citizen(citizen_id: UUID) -> Edit:
    """Return the edit that makes one of the people above."""
    last, first, patronymic, born, sex = BIRTHS[citizen_id]
    return new(
        "citizen",
        citizen_id,
        snils=SNILS[citizen_id],
        last_name=last,
        first_name=first,
        patronymic=patronymic,
        birth_date=born,
        sex=sex,
    )


FAMILY = (
    *map(citizen, BIRTHS),
    new("household", HOUSEHOLD, number="99-1", address="г. Заречный, ул. Садовая, д. 12, кв. 7"),
    new("household_member", 0xB1, household_id=HOUSEHOLD, citizen_id=MOTHER, relation="head"),
    new("household_member", 0xB2, household_id=HOUSEHOLD, citizen_id=FATHER, relation="spouse"),
    new("household_member", 0xB3, household_id=HOUSEHOLD, citizen_id=CHILD, relation="child"),
)

MEDICINES: Mapping[str, Any] = {
    "citizen_id": PENSIONER,
    "measure": "MED.FED",
    "category": "DISABLED.2",
    "decision_number": "99-2026/1",
    "decided_on": "2026-01-10",
    "valid_from": "2026-01-10",
    "valid_to": "2026-12-31",
}
PRESCRIPTION: Mapping[str, Any] = {
    "series": "9926",
    "number": "1000000001",
    "citizen_id": PENSIONER,
    "item_class": "ENALAPRIL",
    "quantity": 3,
    "funding": "federal",
    "payment_percent": 0,
    "prescribed_on": "2026-09-10",
    "valid_days": 90,
}


async def populate(connection: asyncpg.Connection) -> None:
    """Write the codes as the superuser that the connection is, then the people as one change."""
    await connection.execute(CODES)
    await RegisterStore(connection).make_change(CLERK, "первая запись", FAMILY)


async def approved(store: RegisterStore, *edits: Edit) -> int:
    """Propose a change by one person, approve it by another; return its number."""
    request_id = await store.propose_change(CLERK, "по заявлению", edits)
    return await store.approve(request_id, CHIEF)
