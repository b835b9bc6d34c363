"""One social transaction as the house speaks of it, whatever carried it (ISO 8583 or HTTP).

`Request` is the canonical request of DESIGN §6: everything the card signs, and its signature.
`Decision` is what the centre decided and journalled; `Answer` is the decision with what the
terminal shows beside it. All are plain frozen data; nothing here reads or writes. None of it can
be part of a cycle, so the garbage collector need not look at it (`gc=False`).
"""

from __future__ import annotations

import re
from datetime import date
from enum import IntEnum
from typing import Final

import msgspec

from processing.wire.outcome import Outcome

LINES_MAX: Final = 28
"""Most item lines in one transaction (DE48 carries about ten, DE62 the rest)."""

RIGHTS_MAX: Final = 64
"""Most rights in one page of an inquiry's answer, before the wire's own byte budget."""

FACTS_MAX: Final = 4
"""Most facts that explain one outcome."""

STAN_MAX: Final = 999_999
AMOUNT_MAX_KOPECKS: Final = 10**12 - 1
QUANTITY_MAX: Final = 10**10 - 1
NO_HOLDER: Final = bytes(16)
"""The rights holder of an inquiry: every holder this card may act for."""

_TERMINAL_ID: Final = re.compile(r"[A-Z0-9]{8}")
_SERVICE: Final = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,15}")
_ITEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,19}")


class Kind(IntEnum):
    """What is asked for. The value is part of the bytes a card signs."""

    INQUIRY = 1
    RESERVE = 2
    SALE = 3
    COMPLETION = 4
    RETURN = 5
    REVERSAL = 6
    VISIT_START = 7
    VISIT_FINISH = 8


class MessageClass(IntEnum):
    """The second digit of an ISO 8583 message type; part of a transaction's key."""

    AUTHORIZATION = 1
    FINANCIAL = 2
    REVERSAL = 4


CLASS_OF_KIND: Final[dict[Kind, MessageClass]] = {
    Kind.INQUIRY: MessageClass.AUTHORIZATION,
    Kind.RESERVE: MessageClass.AUTHORIZATION,
    Kind.SALE: MessageClass.FINANCIAL,
    Kind.COMPLETION: MessageClass.FINANCIAL,
    Kind.RETURN: MessageClass.FINANCIAL,
    Kind.REVERSAL: MessageClass.REVERSAL,
    Kind.VISIT_START: MessageClass.AUTHORIZATION,
    Kind.VISIT_FINISH: MessageClass.FINANCIAL,
}


class IdentifierKind(IntEnum):
    """What identified the citizen."""

    PIV_CARD = 1
    BANK_CARD_TOKEN = 2
    QR_CERTIFICATE = 3
    PORTAL = 4


class Evidence(IntEnum):
    """What proves that the citizen was there: nothing, the card's tap (9E), or its PIN (9A)."""

    NONE = 0
    TAP = 1
    PIN = 2


class SignatureAlgorithm(IntEnum):
    """How the card signed. Numbers above 1 are kept for ГОСТ Р 34.10-2012."""

    NONE = 0
    ECDSA_P256_SHA256 = 1


class TransactionKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """Names one transaction: people quote date, terminal and STAN.

    `terminal_id` is eight characters A-Z 0-9 (DE41); `stan` is 1 to 999 999 (DE11);
    `business_date` is the terminal's.
    """

    business_date: date
    terminal_id: str
    stan: int
    message_class: MessageClass


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of goods or services as rung up.

    `quantity` counts the smallest unit: `quantity / 10**scale` of the unit with ОКЕИ code
    `unit_okei` (796 pieces, 113 cubic metres, 642 units). `gross_kopecks` is the price of the
    whole line before any benefit; 0 for a service without a price.
    """

    item: str
    quantity: int
    unit_okei: int
    scale: int
    gross_kopecks: int


class Request(msgspec.Struct, frozen=True, gc=False):
    """A canonical request: the same content always gives the same digest.

    `card_id` is the GUID of the card's CHUID (16 bytes), `holder_id` the rights holder's UUID
    (`NO_HOLDER` in an inquiry), `signed_at_ms` UTC milliseconds since 1970, `nonce` 16 bytes,
    `challenge` 0 to 32 bytes. `advice` and `repeat` say how it travelled (0220/0420, 0201/0221):
    they are no part of the content. `signature` is raw r‖s, 64 bytes, low-S, or empty.

    Write the fields by name. Only the parser gives them by place, which is five times faster.
    """

    kind: Kind
    key: TransactionKey
    issuer_region: int
    card_id: bytes
    terminal_epoch: int
    terminal_sequence: int
    signed_at_ms: int
    service: str
    service_version: int
    nonce: bytes
    holder_id: bytes = NO_HOLDER
    identifier_kind: IdentifierKind = IdentifierKind.PIV_CARD
    evidence: Evidence = Evidence.TAP
    challenge: bytes = b""
    parent: TransactionKey | None = None
    passport_version: int = 0
    stop_list_version: int = 0
    lines: tuple[Line, ...] = ()
    algorithm: SignatureAlgorithm = SignatureAlgorithm.ECDSA_P256_SHA256
    signature: bytes = b""
    advice: bool = False
    repeat: bool = False

    @property
    def gross_kopecks(self) -> int:
        """Sum of the lines before any benefit (DE4)."""
        return sum(line.gross_kopecks for line in self.lines)


class DecidedLine(msgspec.Struct, frozen=True, gc=False):
    """What one line costs whom: covered by the measure and paid by the citizen, in kopecks."""

    covered_kopecks: int
    paid_kopecks: int


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A journalled decision: the same for every repeat of the request.

    `request_digest` is digest v1 of the request (32 bytes); `approval_code` six digits or "";
    `posting_date` the centre's day of account; `lane`, `block`, `ordinal` its place in the
    journal (`ordinal` counts from 0 inside the block).
    """

    request_digest: bytes
    outcome: Outcome
    approval_code: str
    posting_date: date
    decided_at_ms: int
    lane: int
    block: int
    ordinal: int
    lines: tuple[DecidedLine, ...] = ()


class Right(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One right as an inquiry or a balance shows it: codes and numbers, no personal data.

    `remaining` and `granted` count the smallest unit (`scale`, `unit_okei` as in `Line`);
    `unit_okei` 383 is the rouble, with scale 2: kopecks. `percent` is the covered share.
    `service_version` is the regulation version to sign. `valid_to` is the last day.
    """

    holder_id: bytes
    service: str
    service_version: int
    item_class: str
    unit_okei: int
    scale: int
    granted: int
    remaining: int
    percent: int
    valid_to: date


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes back to the terminal.

    `decision` is None exactly when the outcome decides nothing, or when nothing is decided under
    this key any more (`KEY_REUSED`, `REVERSED_BEFORE`, `CLOCK_WRONG` of a closed month). `facts`
    name what decided (at most `FACTS_MAX`, ASCII, such as {"remaining": "2"}); `rights` are
    balances as of now; `next_right` > 0 asks for the next page of an inquiry from there; `receipt`
    is processing.wire.receipt, encoded, or empty.
    """

    outcome: Outcome
    key: TransactionKey
    decision: Decision | None = None
    facts: dict[str, str] = {}
    rights: tuple[Right, ...] = ()
    next_right: int = 0
    receipt: bytes = b""


CHILDREN: Final = frozenset({Kind.COMPLETION, Kind.RETURN, Kind.REVERSAL, Kind.VISIT_FINISH})
"""Kinds that name a parent transaction."""

UNSIGNED: Final = frozenset({Kind.COMPLETION, Kind.REVERSAL})
"""Kinds that need no card."""

WITH_LINES: Final = frozenset({Kind.RESERVE, Kind.SALE, Kind.COMPLETION, Kind.RETURN})
"""Kinds that need at least one line."""

OF_A_PARENTS_LINES: Final = frozenset({Kind.COMPLETION, Kind.RETURN, Kind.VISIT_FINISH})
"""Kinds whose lines count along their parent's: one of quantity 0 leaves that line out."""


def faults_of(request: Request) -> list[str]:
    """Return what is wrong with the request's form, each as "field: reason"; empty when sound.

    Only form is judged here (lengths, ranges, what a kind must carry); rules are the centre's.
    """
    key, evidence = request.key, request.evidence
    signed = evidence is not Evidence.NONE
    checks = (
        (_TERMINAL_ID.fullmatch(key.terminal_id), "terminal_id: eight characters A-Z 0-9"),
        (1 <= key.stan <= STAN_MAX, "stan: 1 to 999999"),
        (key.message_class is CLASS_OF_KIND[request.kind], "message_class: not of this kind"),
        (1 <= request.issuer_region <= 99, "issuer_region: 1 to 99"),
        (len(request.card_id) == 16, "card_id: 16 bytes"),
        (len(request.holder_id) == 16, "holder_id: 16 bytes"),
        (len(request.nonce) == 16, "nonce: 16 bytes"),
        (len(request.challenge) <= 32, "challenge: at most 32 bytes"),
        (0 <= request.terminal_epoch < 2**32, "terminal_epoch: 32 bits"),
        (0 <= request.terminal_sequence < 2**63, "terminal_sequence: 63 bits"),
        (0 <= request.signed_at_ms < 2**53, "signed_at_ms: 53 bits"),
        (_SERVICE.fullmatch(request.service), "service: 1 to 16 characters A-Z 0-9 . -"),
        (0 <= request.service_version < 2**31, "service_version: 31 bits"),
        (0 <= request.passport_version < 2**31, "passport_version: 31 bits"),
        (0 <= request.stop_list_version < 2**31, "stop_list_version: 31 bits"),
        (len(request.signature) == (64 if signed else 0), "signature: 64 bytes if the card signs"),
        (
            (request.algorithm is not SignatureAlgorithm.NONE) is signed,
            "algorithm: names the signature's",
        ),
        (signed or request.kind in UNSIGNED, "evidence: this kind needs the card"),
        ((request.parent is not None) is (request.kind in CHILDREN), "parent: wrong for kind"),
        (len(request.lines) <= LINES_MAX, f"lines: at most {LINES_MAX}"),
        (bool(request.lines) or request.kind not in WITH_LINES, "lines: at least one"),
        (request.gross_kopecks <= AMOUNT_MAX_KOPECKS, "amount: at most 12 digits"),
        (
            request.kind is Kind.INQUIRY or request.holder_id != NO_HOLDER,
            "holder_id: only an inquiry may leave it empty",
        ),
    )
    faults = [text for sound, text in checks if not sound]
    for number, line in enumerate(request.lines, 1):
        least = 0 if request.kind in OF_A_PARENTS_LINES else 1
        faults += [f"lines[{number}].{text}" for text in _line_faults(line, least)]
    return faults


def _line_faults(line: Line, least: int) -> list[str]:
    """Return what is wrong with one line's form; `least` is the smallest quantity it may have."""
    checks = (
        (_ITEM.fullmatch(line.item), "item: 1 to 20 characters A-Z a-z 0-9 . / -"),
        (least <= line.quantity <= QUANTITY_MAX, f"quantity: 1 to 10 digits, {least} or more"),
        (1 <= line.unit_okei <= 9999, "unit_okei: an ОКЕИ code"),
        (0 <= line.scale <= 6, "scale: 0 to 6"),
        (0 <= line.gross_kopecks <= AMOUNT_MAX_KOPECKS, "gross_kopecks: at most 12 digits"),
    )
    return [text for sound, text in checks if not sound]
