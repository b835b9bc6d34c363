"""Connections of the gateway: pieces and floods, bounds and time-outs, half-closes and stops."""

from __future__ import annotations

import asyncio
import socket

import pytest
from prometheus_client import generate_latest

from processing.gateways.port import GatewayLimits
from processing.wire.iso8583.framing import FRAME_MAX_BYTES, Framing, LengthForm
from processing.wire.iso8583.messages import Network, NetworkCode
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import FramingName, ProfileName
from processing.wire.transaction import Answer
from tests.plugins.centre import ServeTown
from tests.plugins.line import WAIT_SECONDS, Line
from tests.plugins.live_centre import LiveCentre, Port, assert_until
from tests.plugins.town import SHOPS, Shop, citizen

MARIA, BORIS = citizen(1), citizen(2)
PORTS = [
    pytest.param(framing, profile, id=f"{framing}-{profile}")
    for framing in FramingName
    for profile in ProfileName
]


def limits_with(**limits: int) -> GatewayLimits:
    """Return a port's limits; how fast one terminal may send is not what is tested here."""
    return GatewayLimits(**({"terminal_rate_per_second": 0} | limits))


def echo(stan: int) -> Network:
    return Network(terminal_id=SHOPS[0], stan=stan, code=NetworkCode.ECHO)


async def answered(line: Line, count: int) -> list[Answer]:
    """Read `count` answers to transactions."""
    answers = [await line.answer() for _ in range(count)]
    assert all(isinstance(answer, Answer) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Answer)]


async def assert_hung_up(line: Line) -> None:
    """Wait until the centre closes the connection, and hang up too."""
    assert await line.hung_up()
    await line.close()


@pytest.mark.parametrize(("framing", "profile"), PORTS)
async def test_every_port_serves_sales_refusals_and_repeats(
    serve_town: ServeTown, framing: FramingName, profile: ProfileName
) -> None:
    port = Port(framing=framing.framing, profile=profile.profile)
    async with serve_town(port) as live:
        shop, line = Shop(), await live.line()
        sale = shop.sale(MARIA)
        first, again = await line.decide(sale), await line.decide(sale)
        declined = await line.decide(shop.sale(citizen(99)))
        rights = await line.decide(shop.inquiry(MARIA))
        assert (first.outcome, declined.outcome) == (Outcome.APPROVED, Outcome.CARD_UNKNOWN)
        assert first.decision == again.decision
        assert {right.remaining for right in rights.rights} == {999}


async def test_one_byte_at_a_time_is_read(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    line.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in line.frame(line.message(sale)):
        await line.send_raw(bytes((byte,)))
    (answer,) = await answered(line, 1)
    assert (answer.key, answer.outcome) == (sale.key, Outcome.APPROVED)


async def test_every_pipelined_frame_is_answered(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sales = [shop.sale(citizen(1 + number % 8)) for number in range(200)]
    await line.send(*(line.message(sale) for sale in sales))
    answers = {answer.key: answer.outcome for answer in await answered(line, len(sales))}
    assert answers == {sale.key: Outcome.APPROVED for sale in sales}
    assert await live.events() == len(sales)
    assert sum([await live.used(number) for number in range(1, 9)]) == len(sales)


async def test_the_same_sale_pipelined_is_decided_once(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    await line.send(*[line.message(sale)] * 100)
    answers = await answered(line, 100)
    assert len({answer.decision for answer in answers}) == 1
    assert (await live.used(), await live.events()) == (1, 1)


async def test_good_and_bad_frames_in_one_piece_are_all_answered(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sales = [shop.sale(MARIA) for _ in range(20)]
    messages = [line.message(sale) for sale in sales]
    bad = [message[:-1] for message in messages]
    await line.send(*(one for pair in zip(messages, bad, strict=True) for one in pair))
    outcomes = [(await line.answer()).outcome for _ in range(40)]
    assert sorted(outcomes) == [Outcome.MALFORMED] * 20 + [Outcome.APPROVED] * 20


# Bytes that hold no frame, as a stream of the 2-byte framing.
GARBAGE = {
    "over the maximum": (FRAME_MAX_BYTES + 1).to_bytes(2),
    "far over the maximum": b"\xff\xff",
    "empty frame": b"\0\0",
    "under the minimum": (19).to_bytes(2) + bytes(19),
    "a browser": b"GET / HTTP/1.1\r\nHost: centre\r\n\r\n",
    "a TLS hello": bytes.fromhex("1603010200010001fc0303"),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_a_stream_without_frames_is_logged_and_closed(
    live: LiveCentre, garbage: bytes
) -> None:
    line, honest = await live.line(), await live.line(SHOPS[1])
    await line.send_raw(garbage)
    await assert_hung_up(line)
    assert len(live.logged("stream without frames, closed")) == 1
    assert b"spk_iso8583_framing_faults_total 1.0" in generate_latest(live.registry)
    answer = await honest.decide(Shop(SHOPS[1]).sale(MARIA))
    assert answer.outcome is Outcome.APPROVED


OTHER_GARBAGE = [
    (Framing(LengthForm.ASCII_4), b"12a4"),
    (Framing(LengthForm.ASCII_4), b"9999"),
    (Framing(LengthForm.ASCII_4), b"-100"),
    (Framing(tpdu=True), (25).to_bytes(2) + b"\x61" + bytes(24)),
    (Framing(LengthForm.ASCII_4, tpdu=True), b"0025" + bytes(25)),
]


@pytest.mark.parametrize(("framing", "garbage"), OTHER_GARBAGE)
async def test_other_framings_are_as_strict(
    serve_town: ServeTown, framing: Framing, garbage: bytes
) -> None:
    async with serve_town(Port(framing=framing)) as live:
        line = await live.line()
        await line.send_raw(garbage)
        await assert_hung_up(line)
        assert len(live.logged("stream without frames, closed")) == 1


async def test_the_longest_frame_is_read_and_one_byte_more_is_not(live: LiveCentre) -> None:
    line = await live.line()
    await line.send(b"0800" + bytes(FRAME_MAX_BYTES - 4))
    assert (await line.answer()).outcome is Outcome.MALFORMED
    await line.send_raw((FRAME_MAX_BYTES + 1).to_bytes(2) + bytes(FRAME_MAX_BYTES + 1))
    await assert_hung_up(line)


async def test_frames_before_the_garbage_are_answered(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sales = [shop.sale(MARIA) for _ in range(3)]
    frames = b"".join(line.frame(line.message(sale)) for sale in sales)
    await line.send_raw(frames + b"\xff\xff garbage")
    keys = {answer.key for answer in await answered(line, 3)}
    assert keys == {sale.key for sale in sales}
    await assert_hung_up(line)


async def test_a_half_closed_connection_gets_its_answers(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sales = [shop.sale(MARIA) for _ in range(100)]
    await line.send(*(line.message(sale) for sale in sales))
    line.writer.write_eof()
    keys = {answer.key for answer in await answered(line, len(sales))}
    assert keys == {sale.key for sale in sales}
    await assert_hung_up(line)
    await assert_until(lambda: not live.gateway.connections, "the connection is forgotten")


async def test_half_a_frame_before_the_end_is_no_frame(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    await line.send_raw(line.frame(line.message(sale))[:-1])
    line.writer.write_eof()
    await assert_hung_up(line)
    assert await live.stored(sale) is None


async def test_what_was_sent_is_decided_when_the_terminal_is_gone(live: LiveCentre) -> None:
    shop, line = Shop(), await live.line()
    sale = shop.sale(MARIA)
    await line.send(line.message(sale))
    await line.close()
    other = await live.line()
    again = await other.decide(sale)
    assert again.outcome is Outcome.APPROVED
    assert (await live.used(), await live.events()) == (1, 1)


async def test_a_terminal_that_reads_nothing_is_paused_and_holds_up_nobody(
    serve_town: ServeTown,
) -> None:
    limits = limits_with(write_buffer_max_bytes=4096, close_timeout_ms=200)
    async with serve_town(Port(limits=limits)) as live:
        deaf = await _deaf_line(live)
        (connection,) = live.gateway.connections
        honest = await live.line(SHOPS[1])
        flood = b"".join(deaf.frame(deaf.message(echo(stan))) for stan in range(1, 500))
        # No drain: this end's buffer takes what the centre does not.
        for _ in range(20):
            deaf.writer.write(flood)
        transport = connection._transport
        assert transport is not None
        await assert_until(lambda: not connection.writable, "its answers are not taken any more")
        assert connection.outstanding <= limits.outstanding_max
        answer = await honest.decide(Shop(SHOPS[1]).sale(MARIA))
        assert answer.outcome is Outcome.APPROVED
        assert not transport.is_reading()
        # What the centre holds for it is bounded: its buffer, one piece of the stream at most.
        assert transport.get_write_buffer_size() < 1_000_000


async def _deaf_line(live: LiveCentre) -> Line:
    """Connect with the smallest buffers that there are, so that little fits on the way."""
    line = await live.line()
    await assert_until(lambda: live.gateway.connections, "the connection is in")
    (connection,) = live.gateway.connections
    ours = connection._transport
    assert ours is not None
    ours.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs = line.writer.get_extra_info("socket")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = line.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    return line


async def test_a_deaf_terminal_is_cut_off_in_the_end(serve_town: ServeTown) -> None:
    limits = limits_with(write_buffer_max_bytes=4096, idle_timeout_ms=300, close_timeout_ms=200)
    async with serve_town(Port(limits=limits)) as live:
        deaf = await _deaf_line(live)
        flood = b"".join(deaf.frame(deaf.message(echo(stan))) for stan in range(1, 500))
        for _ in range(20):
            deaf.writer.write(flood)
        await assert_until(lambda: not live.gateway.connections, "the deaf terminal is cut off")


async def test_a_silent_connection_is_closed(serve_town: ServeTown) -> None:
    async with serve_town(Port(limits=limits_with(idle_timeout_ms=100))) as live:
        line = await live.line()
        await assert_hung_up(line)
        await assert_until(lambda: not live.gateway.connections, "the connection is forgotten")


async def test_a_connection_that_speaks_stays_open(serve_town: ServeTown) -> None:
    async with serve_town(Port(limits=limits_with(idle_timeout_ms=2_000))) as live:
        line = await live.line()
        connection = next(iter(live.gateway.connections))
        for stan in range(1, 4):
            before = connection._heard_ns
            await line.ask(echo(stan))
            assert connection._heard_ns > before, "each message starts the time-out anew"
        connection._look_if_silent()
        assert (await line.ask(echo(4))).outcome is Outcome.APPROVED
        connection._heard_ns -= 2_000_000_000
        connection._look_if_silent()
        await assert_hung_up(line)


async def test_connections_past_the_bound_are_turned_away(serve_town: ServeTown) -> None:
    async with serve_town(Port(limits=limits_with(connections_max=3))) as live:
        lines = [await live.line() for _ in range(3)]
        await assert_until(lambda: len(live.gateway.connections) == 3, "three are in")
        await assert_hung_up(await live.line())
        assert [(await line.ask(echo(1))).outcome for line in lines] == [Outcome.APPROVED] * 3
        assert len(live.logged("connection turned away")) == 1
        await lines.pop().close()
        await assert_until(lambda: len(live.gateway.connections) == 2, "one is gone")
        newcomer = await live.line()
        assert (await newcomer.ask(echo(1))).outcome is Outcome.APPROVED


async def test_stopping_answers_what_was_accepted(live: LiveCentre) -> None:
    shop = Shop()
    lines = [await live.line() for _ in range(4)]
    sent = {}
    for line in lines:
        sales = [shop.sale(citizen(1 + number % 8)) for number in range(60)]
        await line.send(*(line.message(sale) for sale in sales))
        sent[line] = {sale.key for sale in sales}
    await assert_until(
        lambda: (
            all(one.outstanding for one in live.gateway.connections)
            and len(live.gateway.connections) == 4
        ),
        "all lines are heard",
    )
    stopping = asyncio.create_task(live.gateway.close())
    told = [await _until_hung_up(line) for line in lines]
    async with asyncio.timeout(WAIT_SECONDS):
        await stopping
    for line, answers in zip(lines, told, strict=True):
        assert {answer.key for answer in answers} == sent[line]
        assert {answer.outcome for answer in answers} == {Outcome.APPROVED}
    with pytest.raises(ConnectionRefusedError):
        await live.line()


async def _until_hung_up(line: Line) -> list[Answer]:
    """Read answers until the centre closes the connection; hang up too."""
    answers: list[Answer] = []
    try:
        while True:
            answers += await answered(line, 1)
    except (EOFError, ConnectionError):
        await line.close()
    return answers


async def test_stopping_waits_for_no_silent_terminal(serve_town: ServeTown) -> None:
    async with serve_town(Port(limits=limits_with(close_timeout_ms=100))) as live:
        lines = [await live.line() for _ in range(3)]
        await assert_until(lambda: len(live.gateway.connections) == 3, "three are in")
        async with asyncio.timeout(WAIT_SECONDS):
            await live.gateway.close()
        assert not live.gateway.connections
        assert all([await line.hung_up() for line in lines])


async def test_eight_terminals_at_once_spend_exactly_what_there_is(live: LiveCentre) -> None:
    # 1000 pills are granted; eight terminals ask for 8 x 20 x 10 = 1600.
    lines = {Shop(shop): await live.line(shop) for shop in SHOPS}
    for shop, line in lines.items():
        await line.send(*(line.message(shop.sale(MARIA, 10)) for _ in range(20)))
    answers = [answer for line in lines.values() for answer in await answered(line, 20)]
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(Outcome.APPROVED) == 100
    assert outcomes.count(Outcome.ALLOWANCE_EXHAUSTED) == 60
    assert await live.used() == 1000
