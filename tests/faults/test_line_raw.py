"""A line without a till: many requests under way, bytes in any pieces, readers that do not read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import pytest

from processing.gateways.port import GatewayLimits
from processing.wire.iso8583.messages import Network, NetworkCode
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request, TransactionKey
from tests.authorization.audit import audit
from tests.faults.proxy import Fault, FaultyLine, Script, Way, faulty_line
from tests.plugins.centre import ServeTown
from tests.plugins.line import Line, open_line
from tests.plugins.live_centre import LiveCentre, Port, assert_until
from tests.plugins.town import SHOPS, Shop, citizen

SALES: Final = 24
ECHOES: Final = 20_000
"""These take one and a half megabytes."""

BUFFERED_MAX_BYTES: Final = 1_000_000
"""What kernel, relay and centre may hold for one connection together, generously."""


async def _line(live: LiveCentre, faulty: FaultyLine, shop: str = SHOPS[0]) -> Line:
    return await open_line(faulty.port, await live.mac(shop))


async def _ask_all(line: Line, sales: Sequence[Request]) -> dict[TransactionKey, Answer]:
    """Send all at once; return the answers that come, by key."""
    await line.send(*(line.message(sale) for sale in sales))
    answers: dict[TransactionKey, Answer] = {}
    for _ in sales:
        answer = await line.answer()
        assert isinstance(answer, Answer)
        answers[answer.key] = answer
    return answers


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize(
    "faults",
    [
        [Fault.SWAP] * SALES,
        [Fault.SWAP, Fault.NONE] * SALES,
        [Fault.JOIN] * (SALES - 1),
        [Fault.SPLIT] * SALES,
        [Fault.JOIN, Fault.SPLIT, Fault.SWAP, Fault.NONE] * SALES,
    ],
    ids=["all held", "each overtaken", "all in one piece", "byte by byte", "all of it"],
)
async def test_frames_in_any_order_and_pieces_are_each_answered_once(
    live: LiveCentre, way: Way, faults: list[Fault]
) -> None:
    script = Script(way)
    async with faulty_line(live.number, script, held_seconds=0.2) as faulty:
        shop, line = Shop(), await _line(live, faulty)
        sales = [shop.sale(citizen(1 + number % 8)) for number in range(SALES)]
        script.begin(*faults)
        answers = await _ask_all(line, sales)
        assert {key: one.outcome for key, one in answers.items()} == {
            sale.key: Outcome.APPROVED for sale in sales
        }
        script.mend()
        again = await _ask_all(line, sales)
        assert {key: one.decision for key, one in again.items()} == {
            key: one.decision for key, one in answers.items()
        }
        await line.close()
    assert await live.events() == SALES
    assert not any(await live.databases.everywhere(audit))


async def test_a_reader_that_never_reads_makes_nobody_grow_and_holds_up_nobody(
    serve_town: ServeTown,
) -> None:
    limits = GatewayLimits(
        terminal_rate_per_second=0, close_timeout_ms=500, write_buffer_max_bytes=16_384
    )
    async with (
        serve_town(Port(limits=limits)) as live,
        faulty_line(live.number, Script(Way.TO_TERMINAL), buffer_bytes=8_192) as faulty,
    ):
        _shrink_buffers(live)
        deaf = await _line(live, faulty)
        honest = await live.line(SHOPS[1])
        faulty.reading[Way.TO_TERMINAL].clear()
        sent = await _flood(deaf)
        assert sent < BUFFERED_MAX_BYTES, "somebody takes it all in"
        assert live.gateway.under_way <= limits.outstanding_max + 1
        answer = await honest.decide(Shop(SHOPS[1]).sale(citizen(1)))
        assert answer.outcome is Outcome.APPROVED
        # Read after all, everything that was taken in is answered.
        faulty.reading[Way.TO_TERMINAL].set()
        assert (await deaf.answer()).outcome is Outcome.APPROVED
        await deaf.close()
        await assert_until(lambda: live.gateway.under_way == 0, "nothing is left under way")


def _shrink_buffers(live: LiveCentre) -> None:
    """Have the kernel keep little for each connection accepted from now on."""
    server = live.gateway._server
    assert server is not None
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        server.sockets[0].setsockopt(socket.SOL_SOCKET, buffer, 8_192)


async def _flood(line: Line) -> int:
    """Send echoes until nothing is taken any more; return how many bytes were taken."""
    connection = line.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    sent = 0
    for stan in range(1, ECHOES):
        echo = Network(terminal_id=SHOPS[0], stan=stan, code=NetworkCode.ECHO)
        frame = line.frame(line.message(echo))
        line.writer.write(frame)
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await line.writer.drain()
        except TimeoutError:
            break
        sent += len(frame)
    return sent


STUCK_SECONDS: Final = 1.0
"""A line that takes nothing for so long is stuck."""
