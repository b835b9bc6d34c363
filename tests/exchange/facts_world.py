"""Events in the journal for the town of people.py, and its catalogue of local measures."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from processing.kernel.bucket import bucket_of
from tests.exchange import people as p
from tests.plugins.town import serves

MEDICINE, UTILITY, GRANT = "MED.FED", "UTIL.50", "CHILD.GRANT"
LMSZ = {name: uuid5(UUID(int=7), name) for name in (MEDICINE, UTILITY, GRANT)}
CATEGORY = {name: uuid5(UUID(int=8), name) for name in (MEDICINE, UTILITY, GRANT)}
FORMS = {MEDICINE: "02", UTILITY: "03", GRANT: "01"}
OSZ = "0123.000456"
MONTH, MONTH_END = date(2026, 10, 1), date(2026, 10, 31)
DECIDED = date(2026, 1, 15)
ENTITLEMENTS = {
    name: uuid5(UUID(int=9), name) for name in ("anna", "galina", "household", "unlinked", "grant")
}


def measure(name: str, **changes: Any) -> dict[str, Any]:
    """Give a whole local measure as `read_catalogue` does."""
    return {
        "id": str(LMSZ[name]),
        "code": name,
        "title": f"Мера {name}",
        "dateEnact": "2026-01-01",
        "periodicityCode": "03",
        "classificationKMSZ": {
            "codePartKMSZ": "010203",
            "codeMSZ": "0042",
            "codeProvisionForm": FORMS[name],
            "codeLevelNPA": "02",
            "localCategories": {
                "localCategory": [
                    {
                        "id": str(CATEGORY[name]),
                        "title": "Ветераны",
                        "codeCategoryKMSZ": "01020304",
                        "needsCriteria": [
                            {"needsCriteriaCode": "12", "needsCriteriaDate": "2025-01-01"}
                        ],
                    }
                ]
            },
            "cofinancing": {"fundingSource": [{"codeFundingSource": "0100", "quota": "100"}]},
        },
        "territories": {"codeOktmo": ["12345678"]},
        "reasons": {
            "NPA": [
                {
                    "number": "181-ФЗ",
                    "date": "1995-11-24",
                    "title": "О социальной защите",
                    "authority": "Государственная Дума",
                    "url": "https://example.org/npa",
                }
            ]
        },
        "KBKCode": "14810030000000000313",
        "cases": "Категория",
        "conditions": "Без условий & прочего <т.п.>",
        "methods": [{"method": "01"}],
        "formReq": ["1", "2"],
        "formRecieve": ["3"],
        "docTypesList": [
            {
                "documentTypeName": "Паспорт",
                "documentOrigin": "оригинал",
                "documentQ": "1",
                "documentNess": "true",
            }
        ],
        "lastChanging": "2026-01-01T00:00:00Z",
        **changes,
    }


async def build(connection: asyncpg.Connection) -> None:
    """Write measures, items, and the entitlements served here, beside the town of people.py."""
    await connection.executemany(
        "INSERT INTO regulations.measure VALUES ($1, $1, $1, 'federal')",
        [(name,) for name in (*LMSZ, "OTHER")],
    )
    await connection.executemany(
        "INSERT INTO regulations.item VALUES ($1, $1, $2, $3, NULL, $1, $1)",
        [("PILLS", 778, 0), ("WATER", 113, 3)],
    )
    for name, holder, what, category in (
        ("anna", p.ANNA, MEDICINE, "VETERAN"),
        ("galina", p.GALINA, MEDICINE, "VETERAN"),
        ("household", p.HOUSEHOLD, UTILITY, "VETERAN"),
        ("unlinked", p.GALINA, "OTHER", "DISABLED.1"),
        ("grant", p.BORIS, GRANT, "VETERAN"),
    ):
        if not await serves(connection, bucket_of(holder.bytes)):
            continue
        first = MONTH if name == "grant" else date(2026, 1, 1)
        await connection.execute(
            "INSERT INTO rights.entitlement VALUES (rights.bucket_of($1), $1, $2, $3, $4, $5, "
            "'2027-12-31', '17-с', $6)",
            holder, ENTITLEMENTS[name], what, category, first, DECIDED,
        )  # fmt: skip
    if not await serves(connection, bucket_of(p.BORIS.bytes)):
        return
    await connection.execute(
        """
        INSERT INTO rights.allowance (
            bucket, holder_id, allowance_id, entitlement_id, measure, category, funding, item_class,
            unit_okei, scale, granted, period, valid_from, valid_to
        ) VALUES (
            rights.bucket_of($1), $1, gen_random_uuid(), $2, $3, 'VETERAN', 'federal', 'MONEY',
            383, 2, 1234567, 0, $4, '2027-12-31'
        )
        """,
        p.BORIS,
        ENTITLEMENTS["grant"],
        GRANT,
        MONTH,
    )


class Journal:
    """Writes events with one line each, on a lane of the connection's database."""

    def __init__(self, connection: asyncpg.Connection, lane: int = 1) -> None:
        self._connection = connection
        self._lane = lane
        self._stan = 0

    async def event(
        self,
        name: str,
        item: str,
        quantity: int,
        covered_kopecks: int,
        on: date = date(2026, 10, 10),
        kind: int = 3,
        parent: tuple[date, int] | None = None,
    ) -> tuple[date, int]:
        """Write one event for an entitlement; its date and number."""
        self._stan += 1
        (row,) = await self._connection.fetch(
            "SELECT * FROM rights.entitlement WHERE entitlement_id = $1", ENTITLEMENTS[name]
        )
        await self._connection.execute(
            """
            INSERT INTO journal.event (
                bucket, business_date, terminal_id, stan, message_class, lane, block, ordinal, kind,
                advice, evidence, card_id, holder_id, service, service_version,
                parent_business_date, parent_terminal_id, parent_stan, parent_message_class,
                signed_at, local_date, posting_date, decided_at, request_digest, request, signature,
                outcome, approval_code
            ) VALUES (
                $1, $2, 'AP000001', $3::integer, $4, $10, $3::integer, 1, $5, FALSE, 1,
                gen_random_uuid(), $6, 'S', 1, $7,
                CASE WHEN $7::date IS NOT NULL THEN 'AP000001' END, $8, $9, now(), $2, $2,
                now(), '', '', '', 1, ''
            )
            """,
            row["bucket"], on, self._stan, 4 if kind == 6 else 2, kind, row["holder_id"],
            parent and parent[0], parent and parent[1], 2 if parent else None, self._lane,
        )  # fmt: skip
        await self._connection.execute(
            """
            INSERT INTO journal.line (
                bucket, business_date, terminal_id, stan, message_class, line_no, part, item,
                quantity, gross_kopecks, covered_kopecks, paid_kopecks, debited, entitlement_id,
                measure, category
            ) VALUES ($1, $2, 'AP000001', $3, $4, 1, 1, $5, $6, $7, $7, 0, 0, $8, $9, $10)
            """,
            row["bucket"], on, self._stan, 4 if kind == 6 else 2, item, quantity, covered_kopecks,
            ENTITLEMENTS[name], row["measure"], row["category"],
        )  # fmt: skip
        return on, self._stan
