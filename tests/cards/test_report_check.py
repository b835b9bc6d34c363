"""Every way in which a report does not belong to its order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

from processing.cards.model import Order, OrderCode, Refusal, WrittenCard
from processing.cards.report_check import CLOCK_SLACK_MINUTES, IssuingAuthority, check_report
from processing.register.identifiers import make_card_number
from processing.wire.api import IssueReport, ProblemType
from tests.cards.papers import NOW, NOW_MS, PIN, TAP, Authority, Keys, Ordered, point_of, sign

CARD_ID, OTHER_ID = UUID(int=0xC0), UUID(int=0xC1)
NUMBER, OTHER_NUMBER = make_card_number(99, 1), make_card_number(99, 2)
VALID_TO = date(2031, 9, 21)
ORDER = Order(
    order_id=UUID(int=0x0D),
    station_id="office-1",
    state=OrderCode.ORDERED,
    citizen_id=UUID(int=1),
    register_version=1,
    card_id=CARD_ID,
    card_number=NUMBER,
    issuer_region=99,
    valid_to=VALID_TO,
    challenge=bytes(range(32)),
    ordered_at=NOW,
)
ORDERED = Ordered(
    order_id=ORDER.order_id,
    card_id=CARD_ID,
    card_number=NUMBER,
    valid_to=VALID_TO,
    challenge=ORDER.challenge,
)
CA, OTHER_CA, KEYS = Authority(), Authority(), Keys()
RIGHT = KEYS.report(CA, ORDERED)
AUTHORITY = IssuingAuthority((CA.der,))
OWN = (CARD_ID, NUMBER, VALID_TO)

Change = dict[str, bytes]

WRONG: dict[str, tuple[Callable[[], Change], ProblemType, str, str]] = {
    "garbage": (
        lambda: {"certificate_tap": b"0"},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "no X.509",
    ),
    "the CA's own certificate": (
        lambda: {"certificate_tap": CA.der},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "no certificate of a card",
    ),
    "another CA": (
        lambda: {"certificate_pin": OTHER_CA.certify(PIN, KEYS.pin, *OWN)},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_pin",
        "not signed by the issuing CA",
    ),
    "another card number": (
        lambda: {"certificate_tap": CA.certify(TAP, KEYS.tap, CARD_ID, OTHER_NUMBER, VALID_TO)},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "card number",
    ),
    "another GUID": (
        lambda: {"certificate_pin": CA.certify(PIN, KEYS.pin, OTHER_ID, NUMBER, VALID_TO)},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_pin",
        "GUID",
    ),
    "slots swapped": (
        lambda: {"certificate_tap": RIGHT.certificate_pin},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "another slot",
    ),
    "ends too early": (
        lambda: {"certificate_tap": CA.certify(TAP, KEYS.tap, CARD_ID, NUMBER, date(2031, 9, 20))},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "ends before",
    ),
    "begins in the future": (
        lambda: {
            "certificate_tap": CA.certify(
                TAP, KEYS.tap, *OWN, not_before_ms=NOW_MS + (CLOCK_SLACK_MINUTES + 1) * 60_000
            )
        },
        ProblemType.CERTIFICATE_WRONG,
        "certificate_tap",
        "not yet valid",
    ),
    "one key in both slots": (
        lambda: {"certificate_pin": CA.certify(PIN, KEYS.tap, *OWN)},
        ProblemType.CERTIFICATE_WRONG,
        "certificate_pin",
        "same key",
    ),
    "proof by the PIN key": (
        lambda: {"proof": sign(KEYS.pin, b"\x01" * 32)},
        ProblemType.PROOF_WRONG,
        "proof",
        "no signature",
    ),
    "proof of another order": (
        lambda: {"proof": KEYS.prove(UUID(int=0x0E), ORDER.challenge)},
        ProblemType.PROOF_WRONG,
        "proof",
        "no signature",
    ),
    "proof of another challenge": (
        lambda: {"proof": KEYS.prove(ORDER.order_id, bytes(32))},
        ProblemType.PROOF_WRONG,
        "proof",
        "no signature",
    ),
    "certificate of another key": (
        lambda: {"certificate_tap": CA.certify(TAP, Keys().tap, *OWN)},
        ProblemType.PROOF_WRONG,
        "proof",
        "no signature",
    ),
    "proof of zeros": (
        lambda: {"proof": bytes(64)},
        ProblemType.PROOF_WRONG,
        "proof",
        "no signature",
    ),
}


def test_a_right_report_gives_both_keys() -> None:
    assert check_report(ORDER, RIGHT, AUTHORITY, NOW) == WrittenCard(
        public_key_tap=point_of(KEYS.tap),
        public_key_pin=point_of(KEYS.pin),
        certificate_tap=RIGHT.certificate_tap,
        certificate_pin=RIGHT.certificate_pin,
    )


def test_any_of_several_authorities_will_do() -> None:
    both = IssuingAuthority((OTHER_CA.der, CA.der))
    assert isinstance(check_report(ORDER, RIGHT, both, NOW), WrittenCard)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_report_is_refused_with_its_field(name: str) -> None:
    change, kind, field, reason = WRONG[name]
    refusal = check_report(ORDER, msgspec.structs.replace(RIGHT, **change()), AUTHORITY, NOW)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.field) == (kind, field)
    assert reason in refusal.reason


def test_a_station_clock_a_little_ahead_is_borne() -> None:
    early = NOW - timedelta(minutes=CLOCK_SLACK_MINUTES)
    assert isinstance(check_report(ORDER, RIGHT, AUTHORITY, early), WrittenCard)


@given(noise=st.binary(min_size=1, max_size=400))
def test_random_bytes_are_refused_and_never_crash(noise: bytes) -> None:
    report = IssueReport(certificate_tap=noise, certificate_pin=noise, proof=bytes(64))
    assert isinstance(check_report(ORDER, report, AUTHORITY, NOW), Refusal)


VERSION_AT = RIGHT.certificate_tap.index(bytes.fromhex("a003020102")) + 4
"""The version of an X.509 certificate (RFC 5280 §4.1.2.1), of which libraries have an own error."""


UNUSED_BITS_AT = (
    len(RIGHT.certificate_tap)
    - len(x509.load_der_x509_certificate(RIGHT.certificate_tap).signature)
    - 1
)
"""How many bits of the signature's last byte do not count, which libraries pass over."""


@example(position=VERSION_AT, bit=6)
@example(position=UNUSED_BITS_AT, bit=0)
@given(position=st.integers(0, len(RIGHT.certificate_tap) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_in_a_certificate_is_refused(position: int, bit: int) -> None:
    flipped = bytearray(RIGHT.certificate_tap)
    flipped[position] ^= 1 << bit
    report = msgspec.structs.replace(RIGHT, certificate_tap=bytes(flipped))
    assert isinstance(check_report(ORDER, report, AUTHORITY, NOW), Refusal)
