"""Terminals in the database: sql/functions/terminals and sql/views/terminals.

The pool acts as `spk_operator`; as `spk_processing` reading works too, and what a terminal asks
for itself (`offer_key`, `take_key`, `hear`) works only so. Every method raises the
errors of `processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec

from processing.kernel.database import DatabasePool
from processing.terminals.model import (
    KeyOffer,
    Offer,
    Presence,
    Provider,
    Terminal,
    TerminalState,
)
from processing.wire.parameter_file import ItemParameters, RefusalWords, ServiceParameters

TERMINALS_LISTED_MAX: Final = 10_000

_TERMINAL: Final = "SELECT * FROM terminals.terminal_overview WHERE terminal_id = $1"
_TERMINALS: Final = "SELECT * FROM terminals.terminal_overview ORDER BY terminal_id LIMIT $1"
_SET_STATE: Final = "SELECT terminals.set_state($1, $2)"
_OFFER_KEY: Final = "SELECT * FROM terminals.offer_key($1, $2)"
_TAKE_KEY: Final = "SELECT terminals.take_key($1, $2)"
_RENEW_KEYS: Final = "SELECT terminals.renew_keys($1, $2)"
_LET_WRITE: Final = "SELECT terminals.let_write_passports($1, $2)"
_HEAR: Final = "SELECT terminals.hear($1, $2, $3)"
_SERVICES: Final = "SELECT * FROM terminals.services_at($1, $2)"
_ITEMS: Final = """
    SELECT item, item_class, unit_okei, scale, name_ru, name_en
    FROM regulations.item ORDER BY item
"""


class TerminalStore:
    """What operators read and write of terminals."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def terminal(self, terminal_id: str) -> Terminal | None:
        """Return one terminal; None when there is none with this id."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_TERMINAL, terminal_id)
        return None if row is None else _terminal(row)

    async def terminals(self) -> tuple[Terminal, ...]:
        """Return the terminals in the order of their ids, at most `TERMINALS_LISTED_MAX`."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_TERMINALS, TERMINALS_LISTED_MAX)
        return tuple(_terminal(row) for row in rows)

    async def set_state(self, terminal_id: str, state: TerminalState) -> bool:
        """Block or unblock a terminal; False when there is none with this id."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_SET_STATE, terminal_id, int(state)))

    async def offer_key(self, terminal_id: str, master_generation: int) -> KeyOffer | None:
        """Hand out a terminal's next MAC key; None when it is unknown or blocked.

        It comes from this generation of the terminal master.
        Until the terminal uses that key, the offer is the same.
        """
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_OFFER_KEY, terminal_id, master_generation)
        return None if row is None else KeyOffer(*row)

    async def take_key(self, terminal_id: str, generation: int) -> bool:
        """Let the key handed out replace the one before; whether it waited for that."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_TAKE_KEY, terminal_id, generation))

    async def renew_keys(self, terminal_id: str, master_generation: int) -> bool:
        """Give a terminal new MAC and exchange keys; False when there is none with this id.

        They come from this generation of the terminal master.
        """
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_RENEW_KEYS, terminal_id, master_generation))

    async def let_write_passports(self, terminal_id: str, *, may: bool) -> bool:
        """Say whether a terminal may renew passports; False when there is none with this id."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_LET_WRITE, terminal_id, may))

    async def hear(self, terminal_id: str, code: int, heard_at: datetime) -> TerminalState | None:
        """Keep what a terminal said about itself (field 70) and return its state, if it has one."""
        async with self._pool.connection() as connection:
            state = await connection.fetchval(_HEAR, terminal_id, code, heard_at)
        return None if state is None else TerminalState(state)

    async def offer(self, terminal_id: str, on: date) -> Offer:
        """Return what can be rung up at a terminal on a day, and what is approved for later."""
        async with self._pool.transaction() as connection:
            services = await connection.fetch(_SERVICES, terminal_id, on)
            items = await connection.fetch(_ITEMS)
        return Offer(
            tuple(_service(row) for row in services if row["valid_from"] <= on),
            tuple(ItemParameters(**dict(row)) for row in items),
            tuple(_service(row) for row in services if row["valid_from"] > on),
        )


def _service(row: asyncpg.Record) -> ServiceParameters:
    values = dict(row)
    refusals = msgspec.json.decode(values.pop("refusals"), type=tuple[RefusalWords, ...])
    return ServiceParameters(**values, refusals=refusals)


def _terminal(row: asyncpg.Record) -> Terminal:
    return Terminal(
        terminal_id=row["terminal_id"],
        state=TerminalState(row["state"]),
        key_generation=row["key_generation"],
        region=row["region"],
        time_zone=row["time_zone"],
        provider=Provider(
            provider_id=row["provider_id"],
            code=row["provider_code"],
            kind=row["provider_kind"],
            name_ru=row["provider_name_ru"],
            name_en=row["provider_name_en"],
            contract=row["contract"],
        ),
        services=tuple(row["services"]),
        next_key_generation=row["next_key_generation"],
        exchange_generation=row["exchange_generation"],
        master_generation=row["master_generation"],
        next_master_generation=row["next_master_generation"],
        writes_passports=row["writes_passports"],
        presence=Presence(
            heard_at=row["heard_at"],
            signed_on=row["signed_on"],
            signed_at=row["signed_at"],
            cut_over_at=row["cut_over_at"],
        ),
    )
