"""Random and broken bytes: never a crash, never a growing memory, never a decision.

`--fuzz-seconds N` goes on for N seconds with fresh random numbers.
"""

from __future__ import annotations

import asyncio
import gc
import io
import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.authorization.model import Asker
from processing.gateways.iso8583 import Gateway
from processing.gateways.port import GatewayMetrics
from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.log import open_log
from processing.kernel.metrics import new_registry
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    TerminalTotals,
    Totals,
    TotalsAnswer,
)
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Request
from tests.authorization.audit import audit
from tests.gateways.mutation import mutated
from tests.gateways.senders import answer_to
from tests.plugins.centre import ServeTown
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.town import SHOPS, Shop, business_day, citizen

MARIA = citizen(1)
MESSAGES = 1_500
SEED = 20_260_302
GROWTH_MAX_BYTES = 300_000
NOT_DECIDED = {b"30", b"40", b"03", b"88", b"96"}
"""What field 39 may say of a message that is not authentic (docs/outcomes.md)."""


def sound_messages(line: Line, shop: Shop) -> list[bytes]:
    """Return a message of each kind that terminals send, under a key that is not the terminal's.

    So whatever is changed in them, nothing may ever be decided.
    """
    sale = shop.sale(MARIA)
    totals = TerminalTotals(
        approved_count=1,
        gross_kopecks=1,
        covered_kopecks=1,
        paid_kopecks=0,
        reversed_count=0,
        reversed_covered_kopecks=0,
    )
    contents = (
        sale,
        shop.inquiry(MARIA),
        shop.reversal(sale),
        shop.sale(MARIA, lines=sale.lines * 20),
        Totals(terminal_id=SHOPS[0], stan=5, business_date=business_day(), totals=totals),
        Network(terminal_id=SHOPS[0], stan=6, code=NetworkCode.ECHO),
    )
    return [line.message(content) for content in contents]


async def foreign_line(live: LiveCentre) -> Line:
    """Connect with the key of another terminal."""
    return await live.line(mac=await live.mac(SHOPS[7]))


def check_answer(answer: bytes, profile: Profile) -> None:
    """Hold an answer to a message that is not authentic: readable, and it decides nothing."""
    fields = decode(answer, profile).fields
    assert fields[39] in NOT_DECIDED
    assert b"JP0" not in fields.get(48, b""), "no place in the journal"
    assert 38 not in fields


@pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))
async def test_broken_messages_are_answered_and_decide_nothing(
    serve_town: ServeTown, profile: Profile
) -> None:
    async with serve_town(Port(profile=profile)) as live:
        sound = sound_messages(await foreign_line(live), Shop())
        chance = random.Random(SEED)
        for _ in range(MESSAGES):
            check_answer(await answer_to(live.gateway, mutated(chance, sound, profile)), profile)
        assert await live.events() == 0
        assert live.logged("answer failed") == []


async def test_memory_stays_flat_under_broken_messages(live: LiveCentre) -> None:
    sound = sound_messages(await foreign_line(live), Shop())

    async def rounds(chance: random.Random, count: int) -> None:
        for _ in range(count):
            await answer_to(live.gateway, mutated(chance, sound, Profile.BINARY))
        # The log is this test's own memory.
        live.log.seek(0)
        live.log.truncate()

    # Long enough to fill the bounded caches of what messages look like.
    await rounds(random.Random(1), 6_000)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await rounds(random.Random(2), 600)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < GROWTH_MAX_BYTES


async def test_broken_messages_on_a_socket_leave_the_centre_whole(live: LiveCentre) -> None:
    shop, honest = Shop(), await live.line()
    line = await foreign_line(live)
    sound = sound_messages(line, Shop(first_stan=500_000))
    chance = random.Random(SEED + 1)
    for number in range(10):
        messages = [mutated(chance, sound, Profile.BINARY) for _ in range(100)]
        await line.send(*messages)
        for _ in messages:
            check_answer(await line.receive(), Profile.BINARY)
        answer = await honest.decide(shop.sale(MARIA))
        assert answer.outcome is Outcome.APPROVED, number
    assert await live.events() == 10


async def test_broken_streams_end_their_own_connection_only(live: LiveCentre) -> None:
    shop, honest = Shop(), await live.line()
    mac = await live.mac(SHOPS[7])
    chance = random.Random(SEED + 2)
    template = await live.line(mac=mac)
    frames = [template.frame(m) for m in sound_messages(template, Shop(first_stan=500_000))]
    for number in range(60):
        line = await live.line(mac=mac)
        stream = b"".join(frames)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(stream))
            stream = stream[:at] + chance.randbytes(chance.randint(0, 8)) + stream[at + 4 :]
        await line.send_raw(stream)
        line.writer.write_eof()
        await _read_out(line)
        if number % 20 == 0:
            assert (await honest.decide(shop.sale(MARIA))).outcome is Outcome.APPROVED
    assert await live.events() == 3


async def _read_out(line: Line) -> None:
    """Read what the centre has to say until it hangs up."""
    try:
        while True:
            check_answer(await line.receive(), Profile.BINARY)
    except (EOFError, ConnectionError):
        await line.close()


async def test_broken_messages_under_the_right_key_break_no_rule(live: LiveCentre) -> None:
    """Authentic nonsense may be decided; it must leave the journal and the counters in order."""
    line = await live.line()
    shop = Shop()
    chance = random.Random(SEED + 3)
    for _ in range(12):
        messages = [_resealed(chance, line, shop) for _ in range(25)]
        await line.send(*messages)
        for _ in messages:
            fields = decode(await line.receive(), Profile.BINARY).fields
            assert len(fields[39]) == 2
    assert live.logged("answer failed") == []
    async with live.database.connect() as connection:
        assert await audit(connection) == []
    assert (await line.decide(Shop(first_stan=900_000).sale(MARIA))).outcome is Outcome.APPROVED


def _resealed(chance: random.Random, line: Line, shop: Shop) -> bytes:
    """Return a sale, broken, and then sealed with the terminal's own key."""
    who = citizen(chance.randint(1, 9))
    sound = [line.message(shop.sale(who)), line.message(shop.reversal(shop.sale(who)))]
    message = mutated(chance, sound, Profile.BINARY)
    return message[:-8] + line.mac.tag(message[:-8])


class Nothing:
    """A centre that knows no terminal and must never be asked to decide."""

    def known(self, terminal_id: str, key_id: int) -> Mac | None:
        """Know no key."""
        return None

    async def mac(self, terminal_id: str, key_id: int) -> Mac | None:
        """Know no key."""
        return None

    async def proven(self, terminal_id: str, key_id: int) -> None:
        """Fail the test."""
        raise AssertionError("a message was authentic")

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Fail the test."""
        raise AssertionError("asked to decide")

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Fail the test."""
        raise AssertionError("asked to settle")

    async def network(self, message: Network) -> NetworkAnswer:
        """Fail the test."""
        raise AssertionError("asked about the connection")


def gateway_of_nothing(profile: Profile) -> tuple[Gateway, io.StringIO]:
    """Return a gateway behind which there is nothing, and its log."""
    nothing, log = Nothing(), io.StringIO()
    gateway = Gateway(
        framing=Framing(),
        profile=profile,
        keys=nothing,
        handlers=nothing,
        log=open_log(LogFormat.JSON, LogLevel.ERROR, log),
        metrics=GatewayMetrics(new_registry()),
    )
    return gateway, log


@pytest.mark.parametrize("profile", Profile, ids=lambda profile: str(profile.value))
@given(message=st.binary(max_size=300) | st.from_regex(rb"\A0[1-8][0-4][01][0-9A-F]{16}"))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_answered(profile: Profile, message: bytes) -> None:
    gateway, log = gateway_of_nothing(profile)
    check_answer(asyncio.run(answer_to(gateway, message)), profile)
    assert log.getvalue() == ""


async def test_long_fuzz(live: LiveCentre, request: pytest.FixtureRequest) -> None:
    seconds = request.config.getoption("--fuzz-seconds")
    if not seconds:
        pytest.skip("only with --fuzz-seconds N")
    seed = random.SystemRandom().randrange(2**32)
    chance, line = random.Random(seed), await live.line()
    sound = sound_messages(await foreign_line(live), Shop(first_stan=500_000))
    shop, count, ends = Shop(), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        foreign = [mutated(chance, sound, Profile.BINARY) for _ in range(50)]
        for message in foreign:
            check_answer(await answer_to(live.gateway, message), Profile.BINARY)
        await line.send(*[_resealed(chance, line, shop) for _ in range(10)])
        for _ in range(10):
            await line.receive()
        count += 60
        live.log.seek(0)
        live.log.truncate()
    async with live.database.connect() as connection:
        assert await audit(connection) == [], f"seed {seed}, {count} messages"
