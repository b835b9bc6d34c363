"""One person proposes, another approves; what was decided under the old version stays."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from processing.kernel.database import REPORTING_LIMITS, open_pool
from processing.kernel.roles import Role
from processing.kernel.target_pools import alone
from processing.region.generate import RegionOrder, generate, load_sources
from processing.region.store import load_region
from processing.regulations.document import read_regulation
from processing.regulations.faults import DocumentError
from processing.regulations.publication import PublicationError, Refusal, approve, propose
from processing.regulations.replay_model import Replay
from processing.regulations.replay_store import keep
from tests.plugins.postgres import Database

TODAY = date(2026, 11, 20)
FIRST_DAY = date(2026, 12, 1)


@contextlib.asynccontextmanager
async def small_region(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a session of the owner in a region of sixty citizens."""
    order = RegionOrder(citizens=60, seed=1, today=TODAY)
    pool = await open_pool(database.dsn(Role.OWNER), Role.OWNER, "test", REPORTING_LIMITS)
    await load_region(alone(pool), generate(order, load_sources()), lambda count: None)
    await pool.close()
    async with database.connect(Role.OWNER) as session:
        yield session


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with small_region(database) as session:
        yield session


def next_version(medicine: str, first_day: date = FIRST_DAY, version: int = 2) -> str:
    """Return the regulation as its next version: the regional discount becomes 60 percent."""
    return (
        medicine.replace("version = 1", f"version = {version}")
        .replace("valid_from = 2026-01-01", f"valid_from = {first_day}")
        .replace("percent = 50", "percent = 60")
        .replace("[4_926]", "[5_911]")
        .replace("[21_825]", "[23_280]")
    )


async def propose_text(connection: asyncpg.Connection, text: str, by: str = "anna") -> None:
    await propose(connection, read_regulation(text.encode(), "draft.toml"), text.encode(), by)


async def versions(connection: asyncpg.Connection) -> list[tuple[int, date, date, list[int]]]:
    rows = await connection.fetch(
        "SELECT s.version, s.valid_from, s.valid_to, array("
        " SELECT r.percent::integer FROM regulations.price_rule AS r"
        " WHERE r.service = s.service AND r.version = s.version ORDER BY r.measure) AS percent"
        " FROM regulations.service AS s WHERE s.service = 'MEDICINE' ORDER BY s.version"
    )
    return [tuple(row) for row in rows]


async def test_two_persons_put_a_version_in_force(
    connection: asyncpg.Connection, medicine: str
) -> None:
    (first,) = await versions(connection)
    await propose_text(connection, next_version(medicine))
    assert await versions(connection) == [first]
    approved = await approve(connection, "MEDICINE", 2, "boris", TODAY)
    assert approved.title == "MEDICINE v2"
    assert await versions(connection) == [
        (1, date(2026, 1, 1), FIRST_DAY - timedelta(days=1), [100, 100, 50]),
        (2, FIRST_DAY, date(2030, 12, 31), [100, 100, 60]),
    ]
    # The way back is a version as well.
    back = medicine.replace("version = 1", "version = 3").replace("2026-01-01", "2026-12-15")
    await propose_text(connection, back)
    await approve(connection, "MEDICINE", 3, "boris", TODAY)
    assert [row[3] for row in await versions(connection)] == [
        [100, 100, 50],
        [100, 100, 60],
        [100, 100, 50],
    ]


@pytest.mark.parametrize(
    ("first_day", "by", "refusal"),
    [
        (FIRST_DAY, "anna", Refusal.SAME_PERSON),
        (TODAY, "boris", Refusal.BEGINS_TOO_EARLY),
        (date(2026, 1, 1), "boris", Refusal.BEGINS_TOO_EARLY),
    ],
)
async def test_an_approval_is_refused_and_changes_nothing(
    connection: asyncpg.Connection, medicine: str, first_day: date, by: str, refusal: Refusal
) -> None:
    before = await versions(connection)
    await propose_text(connection, next_version(medicine, first_day))
    with pytest.raises(PublicationError) as caught:
        await approve(connection, "MEDICINE", 2, by, TODAY)
    assert caught.value.refusal is refusal
    assert await versions(connection) == before


async def test_what_nobody_proposed_and_what_is_approved_is_refused(
    connection: asyncpg.Connection, medicine: str
) -> None:
    with pytest.raises(PublicationError, match="no such draft"):
        await approve(connection, "MEDICINE", 2, "boris", TODAY)
    await propose_text(connection, next_version(medicine))
    await approve(connection, "MEDICINE", 2, "boris", TODAY)
    with pytest.raises(PublicationError, match="never changes"):
        await approve(connection, "MEDICINE", 2, "clara", TODAY)
    with pytest.raises(PublicationError, match="not the next"):
        await propose_text(connection, next_version(medicine))
    with pytest.raises(PublicationError, match="not the next"):
        await propose_text(connection, next_version(medicine, version=4))


async def test_a_draft_is_replaced_until_it_is_approved(
    connection: asyncpg.Connection, medicine: str
) -> None:
    await propose_text(connection, next_version(medicine))
    later = next_version(medicine, FIRST_DAY + timedelta(days=30))
    await propose_text(connection, later, by="boris")
    with pytest.raises(PublicationError) as caught:
        await approve(connection, "MEDICINE", 2, "boris", TODAY)
    assert caught.value.text("ru").endswith("утвердить его должен другой человек")
    approved = await approve(connection, "MEDICINE", 2, "anna", TODAY)
    assert approved.regulation.valid_from == FIRST_DAY + timedelta(days=30)


async def test_a_failing_case_and_a_typo_stop_a_draft(
    connection: asyncpg.Connection, medicine: str
) -> None:
    wrong_case = next_version(medicine).replace("[5_911]", "[5_910]")
    with pytest.raises(PublicationError, match="test cases failed"):
        await propose_text(connection, wrong_case)
    with pytest.raises(DocumentError, match=r"did you mean MED\.REG"):
        await propose_text(connection, next_version(medicine).replace("MED.REG", "MED.RGE"))
    drafts = "SELECT count(*) FROM regulations.document AS d WHERE d.approved_by IS NULL"
    assert await connection.fetchval(drafts) == 0


async def test_a_service_that_was_used_needs_a_replay_of_this_very_text(
    connection: asyncpg.Connection, medicine: str
) -> None:
    text = next_version(medicine)
    await connection.execute("SELECT journal.ensure_partitions('2026-09-01', '2026-11-30')")
    for day in ("2026-09-10", "2026-11-19"):
        await connection.execute(
            "INSERT INTO journal.event SELECT 1, $1, 'AP000001', 1, 2, 0, 1, 1, 0, 3, FALSE, 1, "
            "gen_random_uuid(), gen_random_uuid(), 'MEDICINE', 1, NULL, NULL, NULL, NULL, now(), "
            "$1, $1, now(), '\\x00', '\\x00', '', 602, '', NULL, NULL, NULL",
            date.fromisoformat(day),
        )

    async def refused(body: str) -> bool:
        try:
            await propose_text(connection, body)
        except PublicationError as error:
            return error.refusal is Refusal.NOT_REPLAYED
        return False

    async def replayed(first: date, last: date) -> None:
        record = Replay(
            service="MEDICINE",
            version=2,
            document_sha256=hashlib.sha256(text.encode()).digest(),
            first_day=first,
            last_day=last,
            sums=(),
            made_by="anna",
        )
        await keep(connection, record, datetime.now(UTC))

    assert await refused(text)
    # too short, though recent; long, but long ago; long and recent
    await replayed(date(2026, 11, 1), date(2026, 11, 10))
    assert await refused(text)
    await replayed(date(2026, 9, 1), date(2026, 10, 1))
    assert await refused(text)
    await replayed(date(2026, 10, 23), date(2026, 11, 19))
    assert await refused(text + "\n# another comma\n")
    assert not await refused(text)
