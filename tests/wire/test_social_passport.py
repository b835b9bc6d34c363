"""Social passports: what was signed is read back, and nothing else is believed."""

from __future__ import annotations

from datetime import date

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.social_passport import (
    CATEGORIES_MAX,
    SERVICES_MAX,
    SIZE_MAX_BYTES,
    OfflineLimit,
    PassportError,
    PassportFault,
    SocialPassport,
)
from processing.wire.statement import Domain
from tests.plugins.stop_lists import PUBLIC_KEY, signature_of

CARD = bytes(range(16))
PASSPORT = SocialPassport(
    card_id=CARD,
    region=99,
    number=3,
    valid_from=date(2026, 1, 1),
    valid_to=date(2026, 12, 31),
    categories=("DISABLED.2", "VETERAN"),
    limits={"MEDICINE": OfflineLimit(2, 300_000, 7), "TRANSPORT": OfflineLimit(4, 0, 1)},
)


def signed(document: bytes, domain: Domain = Domain.SOCIAL_PASSPORT) -> bytes:
    return cbor2.dumps([document, *signature_of(document, domain)])


_TEXT = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789", min_size=1, max_size=16)
_LIMITS = st.builds(OfflineLimit, st.integers(0, 1_000), st.integers(0, 10**9), st.integers(1, 366))
_PASSPORTS = st.builds(
    SocialPassport,
    card_id=st.just(CARD),
    region=st.integers(1, 99),
    number=st.integers(0, 2**31 - 1),
    valid_from=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    valid_to=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    categories=st.lists(_TEXT, max_size=CATEGORIES_MAX, unique=True).map(sorted).map(tuple),
    limits=st.dictionaries(_TEXT, _LIMITS, max_size=SERVICES_MAX),
)


@given(_PASSPORTS)
def test_what_is_signed_reads_back_and_fits_every_card(passport: SocialPassport) -> None:
    data = passport.encode(*signature_of(passport.document, Domain.SOCIAL_PASSPORT))
    assert SocialPassport.decode(data, CARD, [PUBLIC_KEY]) == passport
    assert len(data) <= SIZE_MAX_BYTES


def test_the_same_passport_always_has_the_same_bytes() -> None:
    swapped = msgspec.structs.replace(
        PASSPORT,
        categories=PASSPORT.categories[::-1],
        limits=dict(reversed(list(PASSPORT.limits.items()))),
    )
    assert swapped.document == PASSPORT.document
    assert cbor2.loads(PASSPORT.document) == {
        1: 1,
        2: CARD,
        3: 99,
        4: 3,
        5: 20_454,
        6: 20_818,
        7: ["DISABLED.2", "VETERAN"],
        8: {"MEDICINE": [2, 300_000, 7], "TRANSPORT": [4, 0, 1]},
    }


def body(**changes: object) -> bytes:
    """The body with some values replaced, by their numbers written k1 to k8; None leaves out."""
    fields = dict(cbor2.loads(PASSPORT.document))
    fields |= {int(name[1:]): value for name, value in changes.items()}
    return cbor2.dumps({key: value for key, value in fields.items() if value is not None})


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", PassportFault.UNREADABLE),
        (b"\x80", PassportFault.UNREADABLE),
        (b"\xff", PassportFault.UNREADABLE),
        (b"\x9f" * 3_000, PassportFault.UNREADABLE),
        (b"\x81" * 1_500 + b"\x01", PassportFault.UNREADABLE),
        (signed(PASSPORT.document) + b"\0", PassportFault.UNREADABLE),
        (signed(PASSPORT.document)[:-1], PassportFault.UNREADABLE),
        (cbor2.dumps([b"", bytes(8), bytes(64)]), PassportFault.KEY_OTHER),
        (signed(PASSPORT.document, Domain.STOP_LIST), PassportFault.SIGNATURE_WRONG),
        (signed(PASSPORT.document).replace(b"VETERAN", b"VETERAM"), PassportFault.SIGNATURE_WRONG),
        (signed(body(k2=bytes(16))), PassportFault.OTHER_CARD),
        (signed(body(k1=2)), PassportFault.UNREADABLE),
        (signed(body(k2=bytes(15))), PassportFault.UNREADABLE),
        (signed(body(k4=None)), PassportFault.UNREADABLE),
        (signed(body(k5=10**9)), PassportFault.UNREADABLE),
        (signed(body(k6="soon")), PassportFault.UNREADABLE),
        (signed(body(k7=[1])), PassportFault.UNREADABLE),
        (signed(body(k8={"MEDICINE": [1, 2]})), PassportFault.UNREADABLE),
        (signed(body(k9=0)), PassportFault.UNREADABLE),
    ],
)
def test_nothing_else_is_believed(data: bytes, fault: PassportFault) -> None:
    with pytest.raises(PassportError) as raised:
        SocialPassport.decode(data, CARD, [PUBLIC_KEY])
    assert raised.value.fault is fault
    assert fault.ru != fault.en


@given(st.binary(max_size=2_000))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(PassportError):
        SocialPassport.decode(data, CARD, [PUBLIC_KEY])


def test_one_that_no_card_has_room_for_is_not_made() -> None:
    large = msgspec.structs.replace(PASSPORT, categories=tuple(f"C{n:015d}" for n in range(150)))
    with pytest.raises(ValueError, match="at most 1900"):
        large.encode(bytes(8), bytes(64))
