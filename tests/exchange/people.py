"""A small town for the exchange: a couple with a child, a lone pensioner, one who consented."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import asyncpg

from tests.plugins.postgres import Database

REGION = 99
ANNA, BORIS, VERA, GALINA = (UUID(int=number) for number in (0xA1, 0xA2, 0xA3, 0xA4))
HOUSEHOLD, ALONE = UUID(int=0xB1), UUID(int=0xB2)
ANNA_SNILS, BORIS_SNILS = "11223344595", "08765430300"
VERA_SNILS, GALINA_SNILS = "00000000301", "00000000401"
CITIZENS = (
    (ANNA, ANNA_SNILS, "Иванова", "Анна", "Петровна", "1985-05-05", "f"),
    (BORIS, BORIS_SNILS, "Иванов", "Борис", "Ильич", "1984-04-04", "m"),
    (VERA, VERA_SNILS, "Иванова", "Вера", "Борисовна", "2015-06-15", "f"),
    (GALINA, GALINA_SNILS, "Ёлкина", "Галина", None, "1950-01-01", "f"),
)
MEMBERS = (
    (HOUSEHOLD, ANNA, "head"),
    (HOUSEHOLD, BORIS, "spouse"),
    (HOUSEHOLD, VERA, "child"),
    (ALONE, GALINA, "head"),
)


CATEGORIES = (
    (GALINA, "DISABLED.1", date(2020, 1, 1), date(2099, 12, 31)),
    (ANNA, "VETERAN", date(2020, 1, 1), date(2099, 12, 31)),
    (BORIS, "VETERAN", date(2001, 1, 1), date(2002, 12, 31)),
)
CONSENTS = ((ANNA, date(2021, 1, 1), None), (GALINA, date(2021, 1, 1), date(2022, 1, 1)))
"""Anna's consent stands; Galina withdrew hers."""


async def populate(database: Database) -> None:
    """Write the town into a fresh database."""
    async with database.connect() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO regulations.region VALUES ($1, 'Europe/Moscow', 'Область', 'Region')",
            REGION,
        )
        await connection.executemany(
            "INSERT INTO register.benefit_category VALUES ($1, $1, $1)",
            [("DISABLED.1",), ("VETERAN",)],
        )
        await connection.execute("SELECT register.begin_change('test', 'test', 'edit')")
        await add_citizens(connection, *CITIZENS)
        await connection.executemany(
            "INSERT INTO register.household (household_id, number, region, address) "
            "VALUES ($1, $2, $3, $4)",
            [(HOUSEHOLD, "1", REGION, "ул. Ленина, 1"), (ALONE, "2", REGION, "ул. Мира, 2")],
        )
        for household_id, citizen_id, relation in MEMBERS:
            await add_member(connection, household_id, citizen_id, relation)
        for table, columns, rows in (
            ("address", "citizen_id, address_kind, line", [(GALINA, "actual", "ул. Мира, 2")]),
            ("citizen_category", "citizen_id, category, valid_from, valid_to, evidence",
             [(*row, "справка") for row in CATEGORIES]),
            ("consent", "citizen_id, scope, given_on, withdrawn_on",
             [(who, "exchange", *days) for who, *days in CONSENTS]),
        ):  # fmt: skip
            for row in rows:
                values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
                await connection.execute(
                    f"INSERT INTO register.{table} (record_id, {columns}) "  # noqa: S608
                    f"VALUES (gen_random_uuid(), {values})",
                    *row,
                )


async def add_citizens(connection: asyncpg.Connection, *citizens: tuple[object, ...]) -> None:
    """Write citizens, inside of a change."""
    await connection.executemany(
        """
        INSERT INTO register.citizen (
            citizen_id, snils, last_name, first_name, patronymic, birth_date, sex, region
        ) VALUES ($1, $2, $3, $4, $5, $6::text::date, $7, $8)
        """,
        [(*citizen, REGION) for citizen in citizens],
    )


async def add_member(
    connection: asyncpg.Connection, household_id: UUID, citizen_id: UUID, relation: str
) -> None:
    """Write a member of a household, inside of a change."""
    await connection.execute(
        """
        INSERT INTO register.household_member (record_id, household_id, citizen_id, relation)
        VALUES (gen_random_uuid(), $1, $2, $3)
        """,
        household_id,
        citizen_id,
        relation,
    )
