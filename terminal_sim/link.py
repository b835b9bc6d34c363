"""The way to the centre: one TCP connection, one message at a time, plain blocking sockets.

After anything unexpected (time-out, wrong MAC, garbage, an answer to something else) the
connection is closed, so that no late answer is ever taken for the next one. Asking again is
`pursue`: the same request under the same key, only marked as a repeat.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.errors import FramingError, WireError
from processing.wire.iso8583.framing import TPDU_BYTES, FrameReader
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    CentreMessage,
    Envelope,
    Network,
    NetworkAnswer,
    Rejection,
    Totals,
    TotalsAnswer,
)
from processing.wire.iso8583.requests import encode_request
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Answer, Request
from terminal_sim.errors import TerminalError
from terminal_sim.keys import MacKey, key_of_file
from terminal_sim.terminal import Judgement, Terminal, Verdict, zone_of

PIECE_BYTES: Final = 4096
PROVIDER_CHARACTERS: Final = 15
"""Room of field 42; a longer provider code is left out, the centre knows it anyway."""

_TPDU: Final = b"\x60".ljust(TPDU_BYTES, b"\0")
WORTH_REPEATING: Final = frozenset({Outcome.TRY_LATER, Outcome.MAC_WRONG})
"""Undecided outcomes that may be different in a moment; the others need a person first."""


class LinkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the terminal waits, and how often it asks before it tells the cashier."""

    connect_timeout_ms: int = 3_000
    answer_timeout_ms: int = 8_000
    attempts: int = 3
    first_pause_ms: int = 500
    pause_max_ms: int = 4_000

    def pause_ms(self, attempt: int) -> int:
        """Return how long to wait before attempt 2, 3 and so on: each pause doubles."""
        doubled: int = self.first_pause_ms * 2 ** min(attempt - 2, 16)
        return min(doubled, self.pause_max_ms)


class LinkError(TerminalError):
    """No answer that can be trusted: not reached, timed out, garbage or wrong MAC."""


class Link:
    """The connection of one terminal; opened when first needed. Not for several threads."""

    def __init__(
        self,
        parameters: ParameterFile,
        now_ms: Callable[[], int],
        limits: LinkLimits | None = None,
    ) -> None:
        self.limits = limits or LinkLimits()
        self._parameters = parameters
        self._now_ms = now_ms
        self._zone = zone_of(parameters.time_zone)
        self._framing = parameters.framing.framing
        self._profile = parameters.profile.profile
        self.use(key_of_file(parameters))
        self._socket: socket.socket | None = None

    def use(self, key: MacKey) -> None:
        """Make and check MACs with this key from now on."""
        self._mac = Mac(key.key)
        self._key_id = key.generation

    def transact(self, request: Request, first_right: int = 0) -> Answer:
        """Send a request once and return the answer to it. Raises `LinkError`.

        A message that the centre could not read is an answer too: its outcome decides nothing.
        """
        match self._exchange(request, first_right):
            case Answer() as answer if answer.key == request.key:
                return answer
            case Rejection() as rejection if self._rejects(rejection, request.key.stan):
                return Answer(outcome=rejection.outcome, key=request.key, facts=rejection.facts)
            case _:
                raise self._not_ours()

    def totals(self, message: Totals) -> TotalsAnswer:
        """Send the totals once and return the centre's. Raises `LinkError`."""
        match self._exchange(message):
            case TotalsAnswer() as answer:
                return answer
            case Rejection() as rejection if self._rejects(rejection, message.stan):
                raise _rejected(rejection)
            case _:
                raise self._not_ours()

    def network(self, message: Network) -> NetworkAnswer:
        """Send a network message once and return the answer. Raises `LinkError`."""
        match self._exchange(message):
            case NetworkAnswer() as answer:
                return answer
            case Rejection() as rejection if self._rejects(rejection, message.stan):
                raise _rejected(rejection)
            case _:
                raise self._not_ours()

    def close(self) -> None:
        """Hang up. The next message connects anew."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _rejects(self, rejection: Rejection, stan: int) -> bool:
        """Whether this number is rejected, or one that the centre could not read.

        The latter may have been bytes of a stranger on the line, with our own answer behind it.
        """
        if rejection.stan == 0:
            self.close()
        named = rejection.terminal_id in ("", self._parameters.terminal_id)
        return named and rejection.stan in (0, stan)

    def _not_ours(self) -> LinkError:
        self.close()
        return LinkError("Центр ответил на другое сообщение", "the centre answered another message")

    def _exchange(self, message: Request | Totals | Network, first_right: int = 0) -> CentreMessage:
        """Send one message and read one; whatever goes wrong, the connection is closed."""
        try:
            sent = encode_request(message, self._envelope(first_right), self._profile, self._mac)
            wrapped = self._framing.wrap(sent, _TPDU if self._framing.tpdu else b"")
        except (WireError, FramingError) as error:
            raise TerminalError(
                f"Запрос не помещается в сообщение: {error}. Уменьшите число строк",
                f"the request does not fit a message: {error}. Ring up fewer lines",
            ) from error
        try:
            frame = self._talk(wrapped)
            answer = decode_answer(frame, self._profile, self._mac)
            if isinstance(answer, TotalsAnswer | NetworkAnswer):
                # An answer to a transaction names it; these only repeat the number.
                number = decode(frame, self._profile).fields.get(11, b"0")
                if int(number) != _stan_of(message):
                    raise self._not_ours()
        except LinkError:
            self.close()
            raise
        except TimeoutError as error:
            self.close()
            raise LinkError(
                f"Центр не ответил за {self.limits.answer_timeout_ms} мс",
                f"the centre did not answer within {self.limits.answer_timeout_ms} ms",
            ) from error
        except OSError as error:
            self.close()
            raise LinkError(
                f"Нет связи с центром {self._address}: {error}",
                f"no link to the centre {self._address}: {error}",
            ) from error
        except (WireError, FramingError) as error:
            self.close()
            wrong_mac = isinstance(error, WireError) and error.outcome is Outcome.MAC_WRONG
            ru = "Ответ не подтверждён ключом терминала" if wrong_mac else "Ответ не разобран"
            raise LinkError(f"{ru}: {error}", f"the answer cannot be trusted: {error}") from error
        return answer

    def _envelope(self, first_right: int) -> Envelope:
        now_ms = self._now_ms()
        local = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(self._zone)
        provider = self._parameters.provider_code
        fits = provider.isascii() and len(provider) <= PROVIDER_CHARACTERS
        return Envelope(
            key_id=self._key_id,
            sent_at_ms=now_ms,
            local_time=f"{local:%H%M%S}",
            provider_id=provider if fits else "",
            first_right=first_right,
        )

    @property
    def _address(self) -> str:
        return f"{self._parameters.centre_host}:{self._parameters.centre_port}"

    def _talk(self, frame: bytes) -> bytes:
        """Send a frame and return the one message that comes back. Raises OSError, `LinkError`."""
        connection = self._connected()
        deadline = time.monotonic() + self.limits.answer_timeout_ms / 1000
        connection.settimeout(self.limits.answer_timeout_ms / 1000)
        connection.sendall(frame)
        reader = FrameReader(self._framing)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            piece = connection.recv(PIECE_BYTES)
            if not piece:
                raise LinkError(
                    "Центр закрыл соединение, не ответив", "the centre hung up before it answered"
                )
            frames = reader.feed(piece)
            if frames:
                return frames[0].message

    def _connected(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = socket.create_connection(
                    (self._parameters.centre_host, self._parameters.centre_port),
                    self.limits.connect_timeout_ms / 1000,
                )
            except TimeoutError as error:
                raise LinkError(
                    f"Центр {self._address} недоступен: нет соединения за "
                    f"{self.limits.connect_timeout_ms} мс",
                    f"not connected to {self._address} within {self.limits.connect_timeout_ms} ms",
                ) from error
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket


def _stan_of(message: Request | Totals | Network) -> int:
    return message.key.stan if isinstance(message, Request) else message.stan


def _rejected(rejection: Rejection) -> LinkError:
    facts = ", ".join(f"{name}={value}" for name, value in rejection.facts.items())
    code = f"{rejection.outcome.name} {facts}".strip()
    return LinkError(f"Центр не принял сообщение: {code}", f"the centre took it not: {code}")


class Pursuit(msgspec.Struct, frozen=True, kw_only=True):
    """How asking for one decision ended: the last answer with its judgement, or why there is none.

    `fault` is the last attempt's when it brought no answer to be trusted.
    """

    answer: Answer | None = None
    judgement: Judgement | None = None
    fault: LinkError | None = None
    attempts: int = 1

    @property
    def decided(self) -> bool:
        """Whether the centre's decision came and is believed."""
        return self.judgement is not None and self.judgement.verdict is Verdict.DECIDED


Pause = Callable[[int], None]
"""Waits for so many milliseconds."""


def pursue(
    link: Link,
    terminal: Terminal,
    request: Request,
    pause: Pause,
    *,
    repeated: bool = False,
    attempts: int | None = None,
) -> Pursuit:
    """Ask for a decision until it comes, is impossible for now, or the attempts are used up.

    `repeated` marks already the first attempt as a repeat. The request's content never changes.
    """
    most = link.limits.attempts if attempts is None else attempts
    pursuit = Pursuit()
    for attempt in range(1, most + 1):
        if attempt > 1:
            pause(link.limits.pause_ms(attempt))
        repeat = repeated or attempt > 1
        try:
            answer = link.transact(msgspec.structs.replace(request, repeat=repeat))
        except LinkError as fault:
            pursuit = Pursuit(fault=fault, attempts=attempt)
            continue
        judgement = terminal.judge(request, answer)
        pursuit = Pursuit(answer=answer, judgement=judgement, attempts=attempt)
        if judgement.verdict is Verdict.DECIDED:
            break
        if judgement.verdict is Verdict.NOT_DECIDED and answer.outcome not in WORTH_REPEATING:
            break
    return pursuit
