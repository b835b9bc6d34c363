"""Processors stacked on a transport: from whole commands to APDUs that a card can take.

`ShortForm` splits long data into a chain (ISO/IEC 7816-4 §5.3.3, CLA bit 0x10), `ExtendedForm`
sends it in one piece, `WholeAnswer` gathers answers told by 61XX and repeats after 6CXX.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from card_personalization.chip.apdu import (
    CHAINING_BIT,
    EXTENDED_ANSWER_BYTES,
    SHORT_ANSWER_BYTES,
    SHORT_DATA_BYTES,
    Command,
    Ins,
    Response,
    encode_extended,
    encode_short,
)
from card_personalization.chip.errors import CardError, CardFault, MalformedAnswer
from card_personalization.chip.transport.contract import Transport

# The largest PIV object is about 12.7 KB (SP 800-73-5 part 1 table 9, facial image).
ANSWER_LIMIT_BYTES: Final = 16_384


class Channel(Protocol):
    """Anything that takes a whole command and gives a whole answer."""

    def send(self, command: Command) -> Response:
        """Send one command. CardError when the card cannot be reached."""


class ShortForm:
    """Sends commands as short APDUs, long data as a chain of them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, command: Command) -> Response:
        """The answer to the last link, or to the first link that the card refused."""
        data = command.data
        if len(data) <= SHORT_DATA_BYTES:
            return Response(*self._transport.transceive(encode_short(command)))
        while len(data) > SHORT_DATA_BYTES:
            link = msgspec.structs.replace(
                command,
                cla=command.cla | CHAINING_BIT,
                data=data[:SHORT_DATA_BYTES],
                answer_bytes=None,
            )
            answer = Response(*self._transport.transceive(encode_short(link)))
            if not answer.ok:
                return answer
            data = data[SHORT_DATA_BYTES:]
        last = msgspec.structs.replace(command, data=data)
        return Response(*self._transport.transceive(encode_short(last)))


class ExtendedForm:
    """Sends commands as extended APDUs, for readers and cards that take them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, command: Command) -> Response:
        """The answer to the one APDU."""
        if command.answer_bytes == SHORT_ANSWER_BYTES:
            command = msgspec.structs.replace(command, answer_bytes=EXTENDED_ANSWER_BYTES)
        return Response(*self._transport.transceive(encode_extended(command)))


class WholeAnswer:
    """Fetches what the card holds back (61XX) and asks again when told the length (6CXX)."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner

    def send(self, command: Command) -> Response:
        """The whole answer. CardError(TOO_LONG) beyond ANSWER_LIMIT_BYTES."""
        answer = self._ask(command)
        gathered = bytearray(answer.data)
        while answer.sw >> 8 == 0x61:
            waiting = (answer.sw & 0xFF) or SHORT_ANSWER_BYTES
            answer = self._ask(Command(Ins.GET_RESPONSE, answer_bytes=waiting))
            if not answer.data and answer.sw >> 8 == 0x61:
                # A card that promises more but gives nothing would keep us here for ever.
                raise MalformedAnswer("it promises more data (61XX) and gives none")
            gathered += answer.data
            if len(gathered) > ANSWER_LIMIT_BYTES:
                raise CardError(CardFault.TOO_LONG, limit_bytes=ANSWER_LIMIT_BYTES)
        return Response(bytes(gathered), answer.sw)

    def _ask(self, command: Command) -> Response:
        answer = self._inner.send(command)
        if answer.sw >> 8 != 0x6C:
            return answer
        fitting = (answer.sw & 0xFF) or SHORT_ANSWER_BYTES
        return self._inner.send(msgspec.structs.replace(command, answer_bytes=fitting))


def open_channel(transport: Transport, *, extended: bool = False) -> Channel:
    """The usual stack over a transport. Short APDUs reach every reader and card."""
    return WholeAnswer(ExtendedForm(transport) if extended else ShortForm(transport))
