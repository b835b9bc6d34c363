"""Command and response APDUs (ISO/IEC 7816-4 §5), short and extended, and status words."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

SHORT_DATA_BYTES: Final = 255
SHORT_ANSWER_BYTES: Final = 256
EXTENDED_DATA_BYTES: Final = 65_535
EXTENDED_ANSWER_BYTES: Final = 65_536
CHAINING_BIT: Final = 0x10


class Ins(IntEnum):
    """Instructions of ISO/IEC 7816-4 that the PIV card application uses (SP 800-73-5 part 2)."""

    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    RESET_RETRY_COUNTER = 0x2C
    GENERATE_ASYMMETRIC_KEY_PAIR = 0x47
    GENERAL_AUTHENTICATE = 0x87
    SELECT = 0xA4
    GET_RESPONSE = 0xC0
    GET_DATA = 0xCB
    PUT_DATA = 0xDB


class Sw(IntEnum):
    """Status words by name. 61XX, 63CX and 6CXX carry a number; their high part tells them."""

    OK = 0x9000
    VERIFY_FAILED = 0x63C0
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    LOGICAL_CHANNEL_UNSUPPORTED = 0x6881
    SECURE_MESSAGING_UNSUPPORTED = 0x6882
    CHAINING_LAST_EXPECTED = 0x6883
    SECURITY_STATUS_NOT_SATISFIED = 0x6982
    AUTHENTICATION_BLOCKED = 0x6983
    CONDITIONS_NOT_SATISFIED = 0x6985
    WRONG_DATA = 0x6A80
    FUNCTION_UNSUPPORTED = 0x6A81
    NOT_FOUND = 0x6A82
    NO_SPACE = 0x6A84
    WRONG_P1_P2 = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    INSTRUCTION_UNSUPPORTED = 0x6D00
    CLASS_UNSUPPORTED = 0x6E00
    INTERNAL_ERROR = 0x6F00


class ApduError(ValueError):
    """The bytes are no command APDU. `offset` is where they stop being one."""

    def __init__(self, offset: int, expected: str) -> None:
        self.offset = offset
        super().__init__(f"command APDU at offset {offset}: expected {expected}")


class Command(msgspec.Struct, frozen=True):
    """One command. `answer_bytes` (Ne) is the most the sender takes; None sends no Le."""

    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""
    answer_bytes: int | None = SHORT_ANSWER_BYTES
    cla: int = 0
    extended: bool = False


class Response(msgspec.Struct, frozen=True):
    """One answer: its data and its status word."""

    data: bytes
    sw: int

    @property
    def ok(self) -> bool:
        """Whether the status word is 9000."""
        return self.sw == Sw.OK

    def encode(self) -> bytes:
        """Data followed by the two bytes of the status word."""
        return self.data + self.sw.to_bytes(2, "big")


def sw_name(sw: int) -> str:
    """A status word in words, for messages: its name, or its family, or "unknown"."""
    if sw >> 8 == 0x61:
        return "more data waits"
    if sw >> 4 == 0x63C:
        return f"verification failed, {sw & 0xF} attempts left"
    if sw >> 8 == 0x6C:
        return f"wrong expected length, {sw & 0xFF} fits"
    try:
        return Sw(sw).name.lower().replace("_", " ")
    except ValueError:
        return "unknown"


def attempts_remaining(sw: int) -> int | None:
    """Attempts that 63CX or 6983 tell of; None when the status word is about something else."""
    if sw == Sw.AUTHENTICATION_BLOCKED:
        return 0
    return sw & 0xF if sw >> 4 == 0x63C else None


def encode_short(command: Command) -> bytes:
    """A short APDU. ValueError if data exceed 255 bytes: chaining is the caller's to do."""
    data, answer_bytes = command.data, command.answer_bytes
    length = len(data)
    if length > SHORT_DATA_BYTES:
        raise ValueError(f"a short APDU carries {SHORT_DATA_BYTES} bytes, not {length}")
    head = (command.cla, command.ins, command.p1, command.p2)
    apdu = bytes((*head, length)) + data if length else bytes(head)
    if answer_bytes is None:
        return apdu
    # Le 00 stands for 256, so a larger wish is told as 256 and the rest is fetched.
    return apdu + bytes((min(answer_bytes, SHORT_ANSWER_BYTES) & 0xFF,))


def encode_extended(command: Command) -> bytes:
    """An extended APDU. ValueError if data exceed 65,535 bytes."""
    if len(command.data) > EXTENDED_DATA_BYTES:
        raise ValueError(
            f"an extended APDU carries {EXTENDED_DATA_BYTES} bytes, not {len(command.data)}"
        )
    head = bytes([command.cla, command.ins, command.p1, command.p2])
    body = b"\x00" + len(command.data).to_bytes(2, "big") + command.data if command.data else b""
    if command.answer_bytes is None:
        return head + body
    le = (min(command.answer_bytes, EXTENDED_ANSWER_BYTES) & 0xFFFF).to_bytes(2, "big")
    return head + body + (le if command.data else b"\x00" + le)


def decode_command(apdu: bytes) -> Command:
    """A command APDU of any of the seven cases. ApduError when lengths do not add up.

    A missing Le gives `answer_bytes` None; the card reads that as 256.
    """
    if len(apdu) < 4:
        raise ApduError(len(apdu), "a header of 4 bytes")
    cla, ins, p1, p2 = apdu[:4]
    body = apdu[4:]
    if not body:
        return Command(ins, p1, p2, b"", None, cla)
    if len(body) == 1:
        return Command(ins, p1, p2, b"", body[0] or SHORT_ANSWER_BYTES, cla)
    if body[0]:
        return _decode_short(cla, ins, p1, p2, body)
    return _decode_extended(cla, ins, p1, p2, body)


def _decode_short(cla: int, ins: int, p1: int, p2: int, body: bytes) -> Command:
    length = body[0]
    data, rest = body[1 : 1 + length], body[1 + length :]
    if len(data) < length:
        raise ApduError(5, f"{length} bytes of data, found {len(data)}")
    if len(rest) > 1:
        raise ApduError(5 + length, f"at most one Le byte, found {len(rest)}")
    return Command(ins, p1, p2, data, (rest[0] or SHORT_ANSWER_BYTES) if rest else None, cla)


def _decode_extended(cla: int, ins: int, p1: int, p2: int, body: bytes) -> Command:
    if len(body) < 3:
        raise ApduError(5, "two length bytes")
    number = int.from_bytes(body[1:3], "big")
    if len(body) == 3:
        return Command(ins, p1, p2, b"", number or EXTENDED_ANSWER_BYTES, cla, extended=True)
    if not number:
        raise ApduError(5, "data longer than nothing")
    data, rest = body[3 : 3 + number], body[3 + number :]
    if len(data) < number:
        raise ApduError(7, f"{number} bytes of data, found {len(data)}")
    if len(rest) not in (0, 2):
        raise ApduError(7 + number, f"no Le or two bytes of it, found {len(rest)}")
    answer = (int.from_bytes(rest, "big") or EXTENDED_ANSWER_BYTES) if rest else None
    return Command(ins, p1, p2, data, answer, cla, extended=True)


def decode_response(answer: bytes) -> Response:
    """An answer split into data and status word. ApduError if shorter than two bytes."""
    if len(answer) < 2:
        raise ApduError(len(answer), "a status word of 2 bytes")
    return Response(answer[:-2], int.from_bytes(answer[-2:], "big"))
