"""The ISO 8583 gateway: the way of one message from its frame to its answer; nothing decided here.

Of each frame: read it (a fault is answered with 30 and the connection kept), find the terminal's
key, check the MAC, hand the message on, answer under the same key. Messages of one connection are
worked on side by side, so answers may overtake each other; a terminal matches them by STAN.

`Gateway.begin` and `Exchange.answered` are the two halves of that way, and nearly all traffic goes
it without a task, a future or a lock. What must wait for somebody (a key that is not at hand,
totals, a message about the connection) is an errand of its own. Every message that could be read
is answered, also when something in the centre fails: the answer then decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

from structlog.typing import FilteringBoundLogger

from hsm_stub.client.errors import HsmError
from processing.authorization.model import Asker
from processing.gateways.connection import Port, Sender, TerminalConnection, Turns
from processing.gateways.port import GatewayLimits, GatewayMetrics
from processing.gateways.rate import TerminalRates
from processing.kernel.errands import Errands
from processing.kernel.errors import DatabaseError
from processing.wire.iso8583.answers import encode_answer, malformed_answer, undecided_answer
from processing.wire.iso8583.errors import Frame, WireError
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    ParsedMessage,
    Totals,
    TotalsAnswer,
    Transaction,
)
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Request


class TerminalMacs(Protocol):
    """Finds the key of a terminal."""

    def known(self, terminal_id: str, key_id: int) -> Mac | None:
        """Return a key that is at hand."""

    async def mac(self, terminal_id: str, key_id: int) -> Mac | None:
        """Look the key up; None when terminal or generation are not registered."""

    async def proven(self, terminal_id: str, key_id: int) -> None:
        """Take note that a message was authentic whose key had to be looked up.

        Only the first message under a new key matters; such a key is never at hand.
        """


class Handlers(Protocol):
    """What the gateway hands messages on to. Nothing of it raises for what a terminal sent."""

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Decide a transaction; tell the asker, now or later."""

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Compare a terminal's totals of a day with the centre's."""

    async def network(self, message: Network) -> NetworkAnswer:
        """Answer a message about the connection itself."""


class Gateway:
    """Serves one port. `listen` to begin, `close` to answer what was accepted and end."""

    def __init__(
        self,
        *,
        framing: Framing,
        profile: Profile,
        keys: TerminalMacs,
        handlers: Handlers,
        log: FilteringBoundLogger,
        metrics: GatewayMetrics,
        limits: GatewayLimits | None = None,
    ) -> None:
        self.limits = limits or GatewayLimits()
        self.under_way = 0
        self._profile = profile
        self._keys = keys
        self._handlers = handlers
        self.log = log
        # Every decision stands in the journal; a line for each here costs a sixth of the time.
        self.logs_decisions = log.is_enabled_for(logging.DEBUG)
        self._metrics = metrics
        self._answered: list[tuple[Outcome, int]] = []
        self._rates = TerminalRates(self.limits.terminal_rate_per_second)
        self._errands = Errands()
        turns = Turns(self.begin, self._measure)
        self._port = Port(framing, self.limits, metrics, log, turns)
        self._server: asyncio.Server | None = None
        metrics.under_way.set_function(lambda: self.under_way)

    @property
    def connections(self) -> set[TerminalConnection]:
        """The connections that are open."""
        return self._port.connections

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; return the port (of use when 0 was asked). Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TerminalConnection(self._port), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def adopt(self, connection: socket.socket, gone: Callable[[], None]) -> None:
        """Serve a connection that was accepted elsewhere; calls `gone` when it has ended.

        Raises OSError when it broke before.
        """
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: TerminalConnection(self._port, gone), connection
        )

    async def close(self) -> None:
        """Accept nothing more, answer what was accepted, close the connections."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.finish() for connection in list(self.connections)))
        await self._errands.done()

    def begin(self, frame: Frame, sender: Sender, heard_ns: int) -> None:
        """Work on a frame; its sender gets one answer. `heard_ns` is monotonic. Never raises.

        This is the first half of a transaction's way; it ends in `Handlers.authorize`.
        """
        self.under_way += 1
        try:
            parsed = parse_message(frame.message, self._profile)
        except WireError as error:
            self._not_understood(error, frame, sender, heard_ns)
            return
        exchange = Exchange(self, sender, frame, parsed, heard_ns)
        try:
            mac = self._keys.known(parsed.terminal_id, parsed.key_id)
            if mac is None:
                self._errands.start(self._look_up_key(exchange))
            elif exchange.authentic(mac):
                self._hand_on(exchange)
        except Exception as error:
            exchange.failed(error)

    async def _look_up_key(self, exchange: Exchange) -> None:
        """Go on with a message whose key is not at hand."""
        parsed = exchange.parsed
        try:
            mac = await self._keys.mac(parsed.terminal_id, parsed.key_id)
            if mac is None:
                exchange.not_authentic(Outcome.TERMINAL_UNKNOWN)
            elif exchange.authentic(mac):
                await self._keys.proven(parsed.terminal_id, parsed.key_id)
                self._hand_on(exchange)
        except Exception as error:
            exchange.failed(error)

    def _hand_on(self, exchange: Exchange) -> None:
        """Hand an authentic message to whoever answers it."""
        parsed = exchange.parsed
        if self.under_way > self.limits.frames_max:
            self._turn_away(exchange, "centre")
            return
        if not self._rates.admit(parsed.terminal_id, exchange.heard_ns):
            self._turn_away(exchange, "terminal")
            return
        match parsed.message:
            case Transaction(request=request, first_right=first_right):
                self._handlers.authorize(request, first_right, exchange)
            case Totals() as totals:
                self._errands.start(self._settle(totals, exchange))
            case Network() as network:
                self._errands.start(self._tell_network(network, exchange))
            case _:
                assert_never(parsed.message)

    async def _settle(self, totals: Totals, exchange: Exchange) -> None:
        try:
            answer = await self._handlers.settle(totals)
        except Exception as error:
            exchange.failed(error)
            return
        self.log.info(
            "totals",
            terminal=totals.terminal_id,
            date=str(totals.business_date),
            result=answer.settlement.name,
        )
        exchange.answered(answer)

    async def _tell_network(self, network: Network, exchange: Exchange) -> None:
        try:
            answer = await self._handlers.network(network)
        except Exception as error:
            exchange.failed(error)
        else:
            exchange.answered(answer)

    def _turn_away(self, exchange: Exchange, limit: str) -> None:
        self._metrics.turned_away.labels(limit).inc()
        self.log.debug("message turned away", limit=limit, terminal=exchange.parsed.terminal_id)
        exchange.undecided(Outcome.TRY_LATER, {"limit": limit})

    def _not_understood(
        self, error: WireError, frame: Frame, sender: Sender, heard_ns: int
    ) -> None:
        self.log.warning(
            "message not understood",
            field=error.field,
            offset=error.offset,
            expected=error.expected,
            found=error.found,
        )
        self.note_answered(error.outcome, heard_ns)
        sender.send(malformed_answer(error, self._profile), frame.answer_tpdu)

    def note_answered(self, outcome: Outcome, heard_ns: int) -> None:
        """Count an answer that is about to leave."""
        self.under_way -= 1
        self._answered.append((outcome, heard_ns))

    def _measure(self) -> None:
        answered, self._answered = self._answered, []
        self._metrics.answered(answered, time.monotonic_ns())


class Exchange:
    """One message under way, from its frame to its answer, which is sent exactly once.

    It is the `Asker` of a transaction.
    """

    __slots__ = ("_gateway", "_mac", "_sender", "_tpdu", "heard_ns", "parsed")

    def __init__(
        self, gateway: Gateway, sender: Sender, frame: Frame, parsed: ParsedMessage, heard_ns: int
    ) -> None:
        self._gateway = gateway
        self._sender: Sender | None = sender
        self._tpdu = frame.answer_tpdu
        self._mac: Mac | None = None
        self.parsed = parsed
        self.heard_ns = heard_ns

    def authentic(self, mac: Mac) -> bool:
        """Whether the terminal's key made the message's MAC; if not, the terminal is told so.

        From now on the answer is sealed with that key.
        """
        if not self.parsed.authentic(mac):
            self.not_authentic(Outcome.MAC_WRONG)
            return False
        self._mac = mac
        return True

    def not_authentic(self, outcome: Outcome) -> None:
        """Tell a terminal that its message decides nothing, since it may be anybody's."""
        parsed = self.parsed
        self._gateway.log.warning(
            "message not authentic",
            terminal=parsed.terminal_id,
            outcome=outcome.name,
            key=parsed.key_id,
        )
        self.undecided(outcome)

    def answered(self, answer: Answer | TotalsAnswer | NetworkAnswer) -> None:
        """Send the answer: the second half of a transaction's way. Never raises."""
        try:
            message = encode_answer(answer, self.parsed, self._mac)
            if self._gateway.logs_decisions:
                self._log_decision(answer.outcome)
        except Exception as error:
            self.failed(error)
            return
        self._send(message, answer.outcome)

    def undecided(self, outcome: Outcome, facts: Mapping[str, str] | None = None) -> None:
        """Send an answer that decides nothing."""
        self._send(undecided_answer(outcome, self.parsed, self._mac, facts), outcome)

    def failed(self, error: Exception) -> None:
        """Tell the terminal to try later: it must not wait for an answer that never comes."""
        log = self._gateway.log.bind(terminal=self.parsed.terminal_id)
        if isinstance(error, DatabaseError | HsmError):
            log.error("terminal key not to be had", fault=str(error))
        else:
            log.error("answer failed", exc_info=error)
        self.undecided(Outcome.TRY_LATER)

    def _send(self, message: bytes, outcome: Outcome) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            self._gateway.note_answered(outcome, self.heard_ns)
            sender.send(message, self._tpdu)

    def _log_decision(self, outcome: Outcome) -> None:
        if isinstance(self.parsed.message, Transaction):
            request = self.parsed.message.request
            self._gateway.log.debug(
                "transaction",
                terminal=request.key.terminal_id,
                kind=request.kind.name,
                date=str(request.key.business_date),
                stan=request.key.stan,
                outcome=outcome.name,
                repeat=request.repeat,
            )
