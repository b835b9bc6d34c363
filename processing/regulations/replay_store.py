"""Records of replays in the home database, as the role spk_owner."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import asyncpg
import msgspec

from processing.regulations.replay_model import Change, Replay, Sums


async def keep(connection: asyncpg.Connection, replay: Replay, at: datetime) -> None:
    """Keep a replay under its draft's hash."""
    async with connection.transaction():
        await connection.execute(
            "SELECT regulations.keep_replay($1, $2::jsonb[])",
            (
                uuid.uuid4(),
                replay.service,
                replay.version,
                replay.document_sha256,
                replay.first_day,
                replay.last_day,
                msgspec.json.encode(replay.sums).decode(),
                replay.made_by,
                at,
            ),
            [msgspec.json.encode(change).decode() for change in replay.changes],
        )


async def latest(
    connection: asyncpg.Connection, document_sha256: bytes, first_day: date, last_day: date
) -> Replay | None:
    """Return the latest replay of a draft over exactly this period, None if there is none."""
    row = await connection.fetchrow(
        "SELECT * FROM regulations.replay WHERE document_sha256 = $1 AND first_day = $2 "
        "AND last_day = $3 ORDER BY made_at DESC LIMIT 1",
        document_sha256,
        first_day,
        last_day,
    )
    if row is None:
        return None
    changes = await connection.fetch(
        "SELECT change FROM regulations.replay_change WHERE replay_id = $1 ORDER BY number",
        row["replay_id"],
    )
    return Replay(
        service=row["service"],
        version=row["version"],
        document_sha256=row["document_sha256"],
        first_day=row["first_day"],
        last_day=row["last_day"],
        sums=msgspec.json.decode(row["sums"], type=tuple[Sums, ...]),
        changes=tuple(msgspec.json.decode(one["change"], type=Change) for one in changes),
        made_by=row["made_by"],
        made_at=row["made_at"],
    )


async def periods(
    connection: asyncpg.Connection, document_sha256: bytes
) -> list[tuple[date, date]]:
    """Return the periods through which a draft went."""
    rows = await connection.fetch(
        "SELECT DISTINCT first_day, last_day FROM regulations.replay WHERE document_sha256 = $1",
        document_sha256,
    )
    return [(row["first_day"], row["last_day"]) for row in rows]
