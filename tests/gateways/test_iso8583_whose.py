"""Every answer goes to whom it belongs, exactly once, whatever the order and whoever is gone.

A desk that answers when and in which order chance says stands behind a real gateway, and in front
of it are connections without sockets: so Hypothesis chooses who speaks in which pieces, who is
answered when, and who hangs up.
"""

from __future__ import annotations

import asyncio
import io

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.authorization.model import Asker
from processing.gateways.connection import TerminalConnection
from processing.gateways.iso8583 import Gateway
from processing.gateways.port import GatewayLimits, GatewayMetrics
from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.log import open_log
from processing.kernel.metrics import new_registry
from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import Network, NetworkAnswer, Totals, TotalsAnswer
from processing.wire.iso8583.requests import encode_request
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Kind, Request
from tests.wire.examples import ENVELOPE, MAC, answer_of, request_of

CONNECTIONS = 3
OUTSTANDING_MAX = 3


class Desk:
    """Knows one key, sometimes only after a while, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, Asker]] = []
        self.key_at_hand = True

    def known(self, terminal_id: str, key_id: int) -> Mac | None:
        """Return the key when it is at hand."""
        return MAC if self.key_at_hand else None

    async def mac(self, terminal_id: str, key_id: int) -> Mac | None:
        """Return the key a turn later."""
        await asyncio.sleep(0)
        return MAC

    async def proven(self, terminal_id: str, key_id: int) -> None:
        """Take no note."""

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Remember who asked."""
        self.asked.append((request, asker))

    def answer(self, number: int) -> None:
        """Answer one of those who asked, if any, and try a second time."""
        if not self.asked:
            return
        request, asker = self.asked.pop(number % len(self.asked))
        asker.answered(answer_of(request))
        asker.answered(answer_of(request))

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Fail the test."""
        raise AssertionError("asked to settle")

    async def network(self, message: Network) -> NetworkAnswer:
        """Fail the test."""
        raise AssertionError("asked about the connection")


class Wire(asyncio.Transport):
    """A transport that is a list; what comes while nobody reads waits, as in a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.gone = False
        self._reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is written."""
        self.written += bytes(data)

    def is_reading(self) -> bool:
        """Whether the connection wants to hear more."""
        return self._reading

    def pause_reading(self) -> None:
        """Hear no more."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hear again."""
        self._reading = True

    def is_closing(self) -> bool:
        """Whether the terminal is gone."""
        return self.gone

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take everything."""


class Till:
    """A terminal's end of one connection: what it sent, and what it was told."""

    def __init__(self, gateway: Gateway) -> None:
        self.wire = Wire()
        self.connection = TerminalConnection(gateway._port)
        self.connection.connection_made(self.wire)
        self.sent: list[int] = []
        self._unheard = b""

    def say(self, stan: int) -> None:
        """Send a sale."""
        sale = request_of(Kind.SALE)
        sale = msgspec.structs.replace(sale, key=msgspec.structs.replace(sale.key, stan=stan))
        self._unheard += Framing().wrap(encode_request(sale, ENVELOPE, Profile.BINARY, MAC))
        self.sent.append(stan)

    def deliver(self, size: int) -> None:
        """Let the centre hear so many bytes more, if it listens."""
        if self.wire.is_reading() and not self.wire.gone and self._unheard:
            piece, self._unheard = self._unheard[:size], self._unheard[size:]
            self.connection.data_received(piece)

    def hang_up(self) -> None:
        """Be gone without a word."""
        if not self.wire.gone:
            self.wire.gone = True
            self.connection.connection_lost(None)

    @property
    def all_said(self) -> bool:
        """Whether the centre has heard everything."""
        return self.wire.gone or not self._unheard

    @property
    def told(self) -> list[int]:
        """The STANs of the answers, each checked to be this one's and approved."""
        frames = FrameReader(Framing()).feed(self.wire.written)
        answers = [decode_answer(frame.message, Profile.BINARY, MAC) for frame in frames]
        assert all(isinstance(one, Answer) and one.outcome is Outcome.APPROVED for one in answers)
        return [one.key.stan for one in answers if isinstance(one, Answer)]


async def _turn() -> None:
    """Let the loop do what is due now."""
    for _ in range(4):
        await asyncio.sleep(0)


_TILL = st.integers(0, CONNECTIONS - 1)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), _TILL, st.integers(1, 6)),
        st.tuples(st.just("deliver"), _TILL, st.integers(1, 1_500)),
        st.tuples(st.just("answer"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
        st.tuples(st.just("key"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("hang up"), _TILL, st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None)
@given(_STEPS)
def test_answers_go_to_whom_they_belong_exactly_once(steps: list[tuple[str, int, int]]) -> None:
    asyncio.run(_assert_each_is_told_once(steps))


async def _assert_each_is_told_once(steps: list[tuple[str, int, int]]) -> None:
    desk = Desk()
    gateway = Gateway(
        framing=Framing(),
        profile=Profile.BINARY,
        keys=desk,
        handlers=desk,
        log=open_log(LogFormat.JSON, LogLevel.ERROR, io.StringIO()),
        metrics=GatewayMetrics(new_registry()),
        limits=GatewayLimits(outstanding_max=OUTSTANDING_MAX, terminal_rate_per_second=0),
    )
    tills = [Till(gateway) for _ in range(CONNECTIONS)]
    stan = 0
    for action, number, size in steps:
        match action:
            case "say":
                for _ in range(size):
                    stan += 1
                    tills[number].say(stan)
            case "deliver":
                tills[number].deliver(size)
            case "answer":
                desk.answer(number)
            case "turn":
                await _turn()
            case "key":
                desk.key_at_hand = bool(number)
            case "hang up":
                tills[number].hang_up()
            case _:
                raise AssertionError(action)
        assert all(till.connection.outstanding <= OUTSTANDING_MAX for till in tills)
    # What was heard last is taken up in the loop's next turn.
    await _turn()
    while desk.asked or gateway.under_way or not all(till.all_said for till in tills):
        for till in tills:
            till.deliver(700)
        await _turn()
        desk.answer(0)
    await _turn()
    for till in tills:
        assert len(set(till.told)) == len(till.told), "nobody is told twice"
        assert set(till.told) <= set(till.sent), "nobody is told what another asked"
        assert till.wire.gone or sorted(till.told) == till.sent, "who is there is told"
        assert not till.connection.outstanding
        till.hang_up()
