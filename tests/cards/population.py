"""A few citizens for the tests of issuing: a lone pensioner, and a family of four generations."""

from __future__ import annotations

from uuid import UUID

from tests.plugins.postgres import Database

REGION = 99
LONE = UUID(int=0x01)
LONE_SNILS = "11223344595"
MOTHER = UUID(int=0x11)
MOTHER_SNILS = "08765430300"
FATHER = UUID(int=0x12)
CHILD = UUID(int=0x13)
BABY = UUID(int=0x14)
GROWN_CHILD = UUID(int=0x15)
GRANDMOTHER = UUID(int=0x16)
HOUSEHOLD = UUID(int=0xA1)

CITIZENS = (
    (LONE, LONE_SNILS, "1951-03-08", "f"),
    (MOTHER, MOTHER_SNILS, "1985-05-05", "f"),
    (FATHER, "00000000201", "1984-04-04", "m"),
    (CHILD, "00000000301", "2010-06-15", "m"),
    (BABY, "00000000401", "2024-02-29", "f"),
    (GROWN_CHILD, "00000000501", "2004-01-01", "m"),
    (GRANDMOTHER, "00000000601", "1950-01-01", "f"),
)
MEMBERS = (
    (MOTHER, "head"),
    (FATHER, "spouse"),
    (CHILD, "child"),
    (BABY, "child"),
    (GROWN_CHILD, "child"),
    (GRANDMOTHER, "other"),
)


async def populate(database: Database) -> None:
    """Write the citizens above and their household into a fresh database."""
    async with database.connect() as connection, connection.transaction():
        await connection.execute("SELECT register.begin_change('test', 'test', 'edit')")
        await connection.execute(
            "INSERT INTO regulations.region VALUES ($1, 'Asia/Yekaterinburg', 'Область', 'Region')",
            REGION,
        )
        await connection.executemany(
            """
            INSERT INTO register.citizen
                (citizen_id, snils, last_name, first_name, birth_date, sex, region)
            VALUES ($1, $2, 'Тестова', 'Проба', $3::text::date, $4, $5)
            """,
            [(*citizen, REGION) for citizen in CITIZENS],
        )
        await connection.execute(
            "INSERT INTO register.household (household_id, number, region, address)"
            " VALUES ($1, '1', $2, '—')",
            HOUSEHOLD,
            REGION,
        )
        await connection.executemany(
            "INSERT INTO register.household_member (record_id, household_id, citizen_id, relation)"
            " VALUES (gen_random_uuid(), $1, $2, $3)",
            [(HOUSEHOLD, *member) for member in MEMBERS],
        )
