"""Too much at once: those past a bound hear so at once, the others are decided."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import msgspec
import pytest

from processing.authorization.batcher import BATCH_MAX, WAITING_MAX
from processing.authorization.model import Ruling
from processing.gateways.port import GatewayLimits
from processing.gateways.rate import TERMINAL_BURST_SECONDS
from processing.kernel.database import DatabasePool, SessionLimits, session_settings
from processing.kernel.roles import Role
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer
from tests.authorization.audit import audit
from tests.plugins.live_centre import LiveCentre, Port, assert_until
from tests.plugins.town import SHOPS, Shop, citizen

ServeTown = Callable[..., AbstractAsyncContextManager[LiveCentre]]

EXTRA = 40
TURNED_AWAY_MS_MAX = 50.0
"""Per message, on a machine that is busy with other tests; a message alone takes about one."""


@pytest.mark.one_database
async def test_past_the_bound_the_answer_comes_within_milliseconds(
    serve_town: ServeTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = BATCH_MAX + WAITING_MAX
    limits = GatewayLimits(outstanding_max=total, terminal_rate_per_second=0)
    async with serve_town(Port(limits=limits)) as live:
        lines = [await live.line(shop) for shop in SHOPS[:2]]
        shops = [Shop(shop) for shop in SHOPS[:2]]
        for line, shop in zip(lines, shops, strict=True):
            # So that cards and terminals need not be looked up while the queue fills.
            for number in range(1, 9):
                answer = await line.decide(shop.sale(citizen(number)))
                assert answer.outcome is Outcome.APPROVED
        messages = [
            lines[0].message(shops[0].sale(citizen(1 + number % 8))) for number in range(total)
        ]
        extra = [lines[1].message(shops[1].sale(citizen(1))) for _ in range(EXTRA)]
        gate, authorize = asyncio.Event(), live.engine._store.authorize

        async def slow(*arguments: Any) -> list[Ruling]:
            await gate.wait()
            rulings: list[Ruling] = await authorize(*arguments)
            return rulings

        monkeypatch.setattr(live.engine._store, "authorize", slow)
        await lines[0].send(*messages)
        sample = live.registry.get_sample_value
        await assert_until(
            lambda: sample("spk_authorization_waiting") == WAITING_MAX, "the queue fills"
        )
        began = time.monotonic()
        await lines[1].send(*extra)
        refused = [(await lines[1].answer()).outcome for _ in extra]
        took_ms = (time.monotonic() - began) * 1000 / EXTRA
        gate.set()
        decided = Counter([(await lines[0].answer()).outcome for _ in messages])
        assert set(refused) == {Outcome.TRY_LATER}
        assert took_ms < TURNED_AWAY_MS_MAX
        assert decided[Outcome.APPROVED] >= WAITING_MAX
        assert set(decided) <= {Outcome.APPROVED, Outcome.TRY_LATER}
        turned_away = sample("spk_authorization_turned_away_total")
        assert turned_away == EXTRA + decided[Outcome.TRY_LATER]
        assert await live.events() == decided[Outcome.APPROVED] + 16


async def test_a_terminal_gone_wild_leaves_room_for_the_others(serve_town: ServeTown) -> None:
    rate = 5
    async with serve_town(Port(limits=GatewayLimits(terminal_rate_per_second=rate))) as live:
        wild, calm = await live.line(SHOPS[0]), await live.line(SHOPS[1])
        shop = Shop(SHOPS[0])
        began = time.monotonic()
        sales = {sale.key: sale for sale in (shop.sale(citizen(1)) for _ in range(60))}
        await wild.send(*(wild.message(sale) for sale in sales.values()))
        assert (await calm.decide(Shop(SHOPS[1]).sale(citizen(2)))).outcome is Outcome.APPROVED
        answers = [await wild.answer() for _ in sales]
        took = time.monotonic() - began
        refused = [answer for answer in answers if answer.outcome is Outcome.TRY_LATER]
        approved = [answer for answer in answers if answer.outcome is Outcome.APPROVED]
        assert len(refused) + len(approved) == 60
        burst = rate * TERMINAL_BURST_SECONDS
        assert burst <= len(approved) <= burst + rate * took + 1
        assert all(isinstance(answer, Answer) for answer in refused)
        assert {
            tuple(answer.facts.items()) for answer in refused if isinstance(answer, Answer)
        } == {(("limit", "terminal"),)}
        sample = live.registry.get_sample_value(
            "spk_iso8583_turned_away_total", {"limit": "terminal"}
        )
        assert sample == len(refused)
        # Nothing was stored of what was turned away; each can still be decided.
        assert await live.events() == len(approved) + 1


@pytest.mark.one_database
async def test_a_batch_that_timed_out_is_decided_once_on_another_connection(
    live: LiveCentre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is slower to give up than the client: only then the outcome is unknown."""
    limits = SessionLimits(
        connections_max=1,
        command_timeout_ms=300,
        statement_timeout_ms=20_000,
        lock_timeout_ms=20_000,
    )
    shop, line = Shop(), await live.line()
    assert (await line.decide(shop.sale(citizen(1)))).outcome is Outcome.APPROVED
    pool = await asyncpg.create_pool(
        live.database.dsn(Role.PROCESSING),
        min_size=1,
        max_size=1,
        command_timeout=limits.command_timeout_ms / 1000,
        server_settings=session_settings(Role.PROCESSING, "slow", limits),
    )
    monkeypatch.setattr(live.engine._store, "_pool", DatabasePool(pool, limits))
    first = await _session(live)
    sale = shop.sale(citizen(1))
    async with live.database.connect() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE rights.counter IN ACCESS EXCLUSIVE MODE")
        assert (await line.decide(sale)).outcome is Outcome.TRY_LATER
        await transaction.rollback()
    while not (answer := await line.decide(sale)).outcome.decided:
        assert answer.outcome is Outcome.TRY_LATER
    again = await line.decide(msgspec.structs.replace(sale, repeat=True))
    assert (answer.outcome, again.decision) == (Outcome.APPROVED, answer.decision)
    assert await _session(live) not in (None, first)
    assert await live.events() == 2
    async with live.database.connect() as connection:
        assert await audit(connection) == []
    monkeypatch.undo()
    await pool.close()


async def _session(live: LiveCentre) -> int | None:
    found: int | None = await live.value(
        "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'slow' "
        "AND datname = current_database() AND state = 'idle'"
    )
    return found
