"""The messages of the port as the house sees them, and the tables that tell them apart.

    terminal → centre                      centre → terminal
    Transaction  0100 0120 0200 0220 0400 0420    Answer         0110 0130 0210 0230 0410 0430
    Totals       0500                             TotalsAnswer   0510
    Network      0800                             NetworkAnswer  0810
                                                  Rejection      a message that was not understood

A type indicator ending in 1 (0101, 0201, 0221 …) is a repeat of the one ending in 0.
`requests.py` and `answers.py` turn these into bytes and back.
"""

from __future__ import annotations

from datetime import date
from enum import IntEnum
from functools import lru_cache
from typing import Final

import msgspec

from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.errors import Decoded
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer, Kind, MessageClass, Request

PROCESSING_CODES: Final[dict[Kind, bytes]] = {
    Kind.INQUIRY: b"310000",
    Kind.RESERVE: b"000000",
    Kind.SALE: b"000000",
    Kind.COMPLETION: b"920000",
    Kind.RETURN: b"200000",
    Kind.REVERSAL: b"000000",
    Kind.VISIT_START: b"900000",
    Kind.VISIT_FINISH: b"910000",
}
"""Field 3 of each kind. 9x is for private use; in a reversal any code is accepted."""


class NetworkCode(IntEnum):
    """Field 70 of a network message."""

    SIGN_ON = 1
    SIGN_OFF = 2
    KEY_CHANGE = 161
    CUT_OVER = 201
    ECHO = 301


class Settlement(IntEnum):
    """Field 66 of a totals answer."""

    IN_BALANCE = 1
    OUT_OF_BALANCE = 2
    NOT_COMPARED = 3


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside the content and may differ between a request and its repeat.

    `key_id` 0 to 255 is the generation of the terminal's MAC key; `sent_at_ms` UTC milliseconds
    since 1970; `local_time` the terminal's wall clock as hhmmss or ""; `provider_id` up to 15
    printable characters or ""; `reference` the terminal's own number of the deal, 12 letters and
    digits or ""; `first_right` which right an inquiry's page begins with.
    """

    key_id: int
    sent_at_ms: int
    local_time: str = ""
    provider_id: str = ""
    reference: str = ""
    first_right: int = 0


class TerminalTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one terminal counted on one business date; amounts in kopecks.

    Approved sales and completions of that date, reversed ones included; `reversed_*` tells how
    many of them were reversed and what that gave back. `returned_*` are the returns of goods of
    that date that stand, and what they gave back.
    """

    approved_count: int
    gross_kopecks: int
    covered_kopecks: int
    paid_kopecks: int
    reversed_count: int
    reversed_covered_kopecks: int
    returned_count: int = 0
    returned_covered_kopecks: int = 0


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A request of a terminal; `first_right` is the page wanted of an inquiry's rights."""

    request: Request
    first_right: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal's totals of one business date (0500)."""

    terminal_id: str
    stan: int
    business_date: date
    totals: TerminalTotals
    repeat: bool = False


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A message about the connection itself (0800)."""

    terminal_id: str
    stan: int
    code: NetworkCode
    repeat: bool = False


TerminalMessage = Transaction | Totals | Network


class Echo(msgspec.Struct, frozen=True, gc=False):
    """What the answer repeats of a usual message, as it came.

    `shape` is the type indicator and the bitmap; `head` the fields 3 to 37 that are there,
    `acceptor` 41 and 42, `security` 53.
    """

    shape: bytes
    head: bytes
    acceptor: bytes
    security: bytes


class ParsedMessage(msgspec.Struct, frozen=True, gc=False):
    """A sound message from a terminal. Nothing in it may be believed before `authentic` is true.

    `frame` is how it travelled, `mac` what the terminal sent, `sealed` the bytes it covers. `echo`
    is only there for usual messages.
    """

    profile: Profile
    frame: bytes
    terminal_id: str
    key_id: int
    mac: bytes
    sealed: bytes
    message: TerminalMessage
    echo: Echo | None = None

    @property
    def decoded(self) -> Decoded:
        """Return the fields of the frame. Read again each time: usual answers need none of them."""
        return decode(self.frame, self.profile)

    def authentic(self, mac: Mac) -> bool:
        """Whether the terminal's key made this message's MAC."""
        return mac.matches(self.sealed, self.mac)


class TotalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre says to a terminal's totals; `totals` are the centre's, if it compared."""

    outcome: Outcome
    settlement: Settlement
    totals: TerminalTotals | None = None


class OfferedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal's next MAC key, of generation 0 to 255.

    `wrapped` is the key under the terminal's exchange key (RFC 3394, 24 bytes), or it and the next
    exchange key (56 bytes).
    """

    generation: int
    wrapped: bytes


class NetworkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre says to a network message; its clock lets a terminal notice its own.

    `key` answers a key change; `rules_mark` tells the rules in force at the terminal from others
    (`processing.wire.rules_file`), "" where the centre has none for it; `key_due` that its MAC key
    comes from a generation of the terminal master that is to be retired.
    """

    outcome: Outcome
    centre_time_ms: int
    posting_date: date | None = None
    key: OfferedKey | None = None
    rules_mark: str = ""
    key_due: bool = False


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """The centre's answer to a message that it could not read: nothing was decided.

    `terminal_id` is "" and `stan` 0 when the centre could not read them; `facts` name the field
    and what was expected there.
    """

    outcome: Outcome
    terminal_id: str = ""
    stan: int = 0
    facts: dict[str, str] = {}


CentreMessage = Answer | TotalsAnswer | NetworkAnswer | Rejection


class Mti(msgspec.Struct, frozen=True):
    """A message type indicator of a terminal, taken apart."""

    message_class: int
    advice: bool
    repeat: bool

    @property
    def text(self) -> str:
        """Return the four digits."""
        return f"0{self.message_class}{2 if self.advice else 0}{1 if self.repeat else 0}"


TRANSACTION_CLASSES: Final = frozenset(int(one) for one in MessageClass)
TOTALS_CLASS: Final = 5
NETWORK_CLASS: Final = 8
ANSWER_MTIS_MAX: Final = 64
"""Most type indicators whose answer is kept ready: terminals send sixteen."""

_ADMINISTRATIVE_ANSWER: Final = "0610"


def mti_of(text: str) -> Mti | None:
    """Return the parts of a type indicator that a terminal may send, or None."""
    return MTIS.get(text)


def _mtis() -> dict[str, Mti]:
    advisable = [(one, advice) for one in TRANSACTION_CLASSES for advice in (False, True)]
    classes = [*advisable, (TOTALS_CLASS, False), (NETWORK_CLASS, False)]
    all_mtis = (Mti(one, advice, repeat) for one, advice in classes for repeat in (False, True))
    return {mti.text: mti for mti in all_mtis}


MTIS: Final = _mtis()


@lru_cache(maxsize=ANSWER_MTIS_MAX)
def answer_mti(text: str) -> str:
    """Return the type indicator of the answer: the function digit one higher, origin 0.

    Of any four digits, also unknown ones (0600 gives 0610); an answer keeps its function digit.
    What is no type indicator at all is answered with 0610.
    """
    if len(text) != 4 or not text.isdigit() or not text.isascii():
        return _ADMINISTRATIVE_ANSWER
    return f"{text[:2]}{int(text[2]) | 1}0"


def processing_kind(mti: Mti, code: bytes) -> Kind | None:
    """Return the kind that class and field 3 name, or None."""
    if mti.message_class == MessageClass.REVERSAL:
        return Kind.REVERSAL
    return _KINDS.get((mti.message_class, code))


_KINDS: Final[dict[tuple[int, bytes], Kind]] = {
    (int(MessageClass.AUTHORIZATION), PROCESSING_CODES[Kind.INQUIRY]): Kind.INQUIRY,
    (int(MessageClass.AUTHORIZATION), PROCESSING_CODES[Kind.RESERVE]): Kind.RESERVE,
    (int(MessageClass.AUTHORIZATION), PROCESSING_CODES[Kind.VISIT_START]): Kind.VISIT_START,
    (int(MessageClass.FINANCIAL), PROCESSING_CODES[Kind.SALE]): Kind.SALE,
    (int(MessageClass.FINANCIAL), PROCESSING_CODES[Kind.COMPLETION]): Kind.COMPLETION,
    (int(MessageClass.FINANCIAL), PROCESSING_CODES[Kind.RETURN]): Kind.RETURN,
    (int(MessageClass.FINANCIAL), PROCESSING_CODES[Kind.VISIT_FINISH]): Kind.VISIT_FINISH,
}
