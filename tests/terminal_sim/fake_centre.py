"""A centre that does what a script says: good answers, and every kind of bad one."""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import Enum, auto
from types import TracebackType

import msgspec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from processing.wire.iso8583.answers import encode_answer, undecided_answer
from processing.wire.iso8583.errors import FramingError
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    OfferedKey,
    ParsedMessage,
    Settlement,
    TerminalTotals,
    Totals,
    TotalsAnswer,
    Transaction,
)
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Kind, Request, Right
from tests.terminal_sim import world


class Does(Enum):
    """What the centre does with one message."""

    APPROVE = auto()
    DECLINE = auto()
    STAY_SILENT = auto()
    HANG_UP = auto()
    SEND_HALF = auto()
    SEND_GARBAGE = auto()
    FRAME_GARBAGE = auto()
    MAC_WRONGLY = auto()
    SIGN_WRONGLY = auto()
    DECIDE_OTHER_REQUEST = auto()
    ANSWER_OTHER_NUMBER = auto()
    TRY_LATER = auto()
    MALFORMED = auto()
    KEY_REUSED = auto()
    LOSE_ANSWER = auto()
    CONFLICT = auto()


class FakeCentre:
    """Serves one connection after another in a thread; `script` runs out into approvals."""

    def __init__(
        self, *script: Does, rights: tuple[Right, ...] = (), profile: Profile = Profile.BINARY
    ) -> None:
        self.script = list(script)
        self.rights = rights
        self.received: list[ParsedMessage] = []
        self.centre_totals: TerminalTotals | None = None
        self._profile = profile
        self._framing = Framing()
        self.keys = {1: world.MAC_KEY}
        self.handed_out: int | None = None
        self.offers_keys = True
        self.rules_mark = ""
        self.key_due = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def requests(self) -> list[Request]:
        """The transactions received, in order."""
        found = (one.message for one in self.received)
        return [one.request for one in found if isinstance(one, Transaction)]

    def __enter__(self) -> FakeCentre:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone does not wake an accept that is under way.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                with contextlib.suppress(OSError, FramingError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        reader = FrameReader(self._framing)
        while piece := connection.recv(4096):
            for frame in reader.feed(piece):
                message = parse_message(frame.message, self._profile)
                self.received.append(message)
                does = self.script.pop(0) if self.script else Does.APPROVE
                if not self._answer(connection, message, does):
                    return

    def _answer(self, connection: socket.socket, message: ParsedMessage, does: Does) -> bool:
        """Do one thing; whether the connection goes on."""
        if does is Does.STAY_SILENT:
            return True
        if does is Does.HANG_UP:
            return False
        if does is Does.LOSE_ANSWER:
            # What the message did at the centre stays done.
            self._bytes(message, Does.APPROVE)
            return False
        if does is Does.SEND_GARBAGE:
            connection.sendall(b"\xff" * 64)
            return True
        if does is Does.FRAME_GARBAGE:
            connection.sendall(self._framing.wrap(b"0210" + b"\x00" * 40))
            return True
        whole = self._framing.wrap(self._bytes(message, does))
        if does is Does.SEND_HALF:
            connection.sendall(whole[: len(whole) // 2])
            connection.shutdown(socket.SHUT_WR)
            return True
        connection.sendall(whole)
        return True

    def _bytes(self, message: ParsedMessage, does: Does) -> bytes:
        known = self._key_of(message)
        if known is None:
            return undecided_answer(Outcome.TERMINAL_UNKNOWN, message, None)
        mac = Mac(bytes(16)) if does is Does.MAC_WRONGLY else Mac(known)
        undecided = {Does.TRY_LATER: Outcome.TRY_LATER, Does.MALFORMED: Outcome.MALFORMED}
        if does in undecided:
            return undecided_answer(undecided[does], message, mac)
        match message.message:
            case Network(code=code):
                said = NetworkAnswer(
                    outcome=Outcome.TERMINAL_BLOCKED if does is Does.DECLINE else Outcome.APPROVED,
                    centre_time_ms=world.NOW_MS,
                    posting_date=world.TODAY,
                    rules_mark=self.rules_mark,
                    key_due=self.key_due,
                    key=self._offered()
                    if code is NetworkCode.KEY_CHANGE and self.offers_keys
                    else None,
                )
                return encode_answer(said, message, mac)
            case Totals(totals=mine):
                theirs = self.centre_totals or mine
                same = Settlement.IN_BALANCE if theirs == mine else Settlement.OUT_OF_BALANCE
                totals = TotalsAnswer(outcome=Outcome.APPROVED, settlement=same, totals=theirs)
                return encode_answer(totals, message, mac)
            case Transaction(request=request, first_right=first_right):
                answer = self._decided(request, does, first_right)
                if does is Does.ANSWER_OTHER_NUMBER:
                    # Field 11 stands behind the bitmap and the fields 3, 4 and 7.
                    frame = message.frame[:48] + b"000999" + message.frame[54:]
                    message = msgspec.structs.replace(message, frame=frame, echo=None)
                return encode_answer(answer, message, mac)

    def _key_of(self, message: ParsedMessage) -> bytes | None:
        """Return the key of a message; the first under the one handed out ends the other."""
        key = self.keys.get(message.key_id)
        assert key is None or message.authentic(Mac(key))
        if key is not None and message.key_id == self.handed_out:
            self.keys = {message.key_id: key}
            self.handed_out = None
        return key

    def _offered(self) -> OfferedKey:
        if self.handed_out is None:
            self.handed_out = max(self.keys) + 1
            self.keys[self.handed_out] = bytes([self.handed_out]) * 16
        wrapped = aes_key_wrap(world.EXCHANGE_KEY, self.keys[self.handed_out])
        return OfferedKey(generation=self.handed_out, wrapped=wrapped)

    def _taken_back(self, reversal: Request, whole: Answer) -> Answer:
        """An approved reversal repeats the amounts of the original that had come before it."""
        original = next(one for one in self.requests if one.key == reversal.parent)
        lines = world.decision(original, Outcome.APPROVED).lines
        decision = world.decision(reversal, Outcome.APPROVED)
        decision = msgspec.structs.replace(decision, lines=lines)
        return msgspec.structs.replace(whole, decision=decision, receipt=world.receipt(decision))

    def _decided(self, request: Request, does: Does, first_right: int) -> Answer:
        if request.kind is Kind.INQUIRY and does is Does.APPROVE:
            whole = world.answer(request)
            return msgspec.structs.replace(whole, rights=self.rights[first_right:])
        if does is Does.DECLINE:
            facts = {"item": "ENALAPRIL-10-20", "remaining": "1", "until": "2026-04-30"}
            return world.answer(request, Outcome.ALLOWANCE_EXHAUSTED, facts=facts)
        if does is Does.KEY_REUSED:
            return world.answer(request, Outcome.KEY_REUSED)
        if does is Does.CONFLICT:
            return world.answer(request, Outcome.RECORDED_IN_CONFLICT, facts={"reason": "501"})
        expires = {Kind.RESERVE: world.EXPIRES, Kind.VISIT_START: world.BEGUN}.get(request.kind, {})
        if request.kind is Kind.VISIT_START and request.advice:
            expires = world.EXPIRES
        whole = world.answer(request, rights=self.rights[:1], facts=expires)
        assert whole.decision is not None
        if request.kind is Kind.REVERSAL:
            return self._taken_back(request, whole)
        if does is Does.SIGN_WRONGLY:
            forged = world.receipt(whole.decision, world.OTHER_KEY)
            return msgspec.structs.replace(whole, receipt=forged)
        if does is Does.DECIDE_OTHER_REQUEST:
            other = msgspec.structs.replace(whole.decision, request_digest=bytes(32))
            return msgspec.structs.replace(whole, decision=other, receipt=world.receipt(other))
        return whole
