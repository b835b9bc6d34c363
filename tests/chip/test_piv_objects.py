from __future__ import annotations

import datetime
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yubikit import piv as yubikit_piv

from card_personalization.chip import tlv
from card_personalization.chip.errors import CardError, CardFault, MalformedAnswer
from card_personalization.chip.piv import objects
from card_personalization.chip.piv.objects import Chuid, Slot, Tag

GUID = bytes(range(16))
DAY = datetime.date(2030, 12, 31)


@given(guid=st.binary(min_size=16, max_size=16), day=st.dates(), signature=st.binary(max_size=99))
def test_chuid_round_trip(guid: bytes, day: datetime.date, signature: bytes) -> None:
    chuid = Chuid(guid, day, issuer_signature=signature)
    if day.year >= 1000:
        assert objects.parse_chuid(chuid.encode()) == chuid


def test_another_library_reads_our_chuid() -> None:
    theirs = yubikit_piv.Chuid.from_bytes(Chuid(GUID, DAY).encode())
    assert (theirs.guid, theirs.expiration_date) == (GUID, DAY)
    assert str(theirs.fasc_n) == "[9999-9999-999999-0-1-0000000000300001]"


@pytest.mark.parametrize(
    ("container", "named"),
    [
        (b"", "tag 34"),
        (tlv.encode(0x34, bytes(15)) + tlv.encode(0x35, b"20301231"), "tag 34"),
        (tlv.encode(0x34, GUID), "tag 35"),
        (tlv.encode(0x34, GUID) + tlv.encode(0x35, b"2030123"), "tag 35"),
        (tlv.encode(0x34, GUID) + tlv.encode(0x35, b"20301x31"), "tag 35"),
        (tlv.encode(0x34, GUID) + tlv.encode(0x35, b"20300230"), "no calendar"),
        (b"\x34\x10\x00", "offset 2"),
    ],
)
def test_a_broken_chuid_is_told(container: bytes, named: str) -> None:
    with pytest.raises(MalformedAnswer, match=named):
        objects.parse_chuid(container)


@pytest.mark.parametrize("lengths", [(15, 25), (16, 24)])
def test_a_chuid_of_wrong_lengths_is_not_written(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Chuid(bytes(lengths[0]), DAY, bytes(lengths[1])).encode()


def test_certificate_container() -> None:
    der = bytes(range(200))
    assert objects.parse_certificate(objects.encode_certificate(der)) == der
    packed = tlv.encode(0x70, gzip.compress(der, mtime=0)) + tlv.encode(0x71, b"\x01")
    assert objects.parse_certificate(packed) == der
    with pytest.raises(ValueError, match="1856 bytes, this one needs"):
        objects.encode_certificate(bytes(1_850))


@pytest.mark.parametrize(
    ("container", "named"),
    [
        (b"", "tag 70"),
        (tlv.encode(0x70, b""), "tag 70"),
        (tlv.encode(0x70, b"plain") + tlv.encode(0x71, b"\x01"), "cannot be unpacked"),
        (
            tlv.encode(0x70, gzip.compress(bytes(1_000_000), mtime=0)) + tlv.encode(0x71, b"\x01"),
            "beyond 16384",
        ),
        (tlv.encode(0x70, gzip.compress(b"cut", mtime=0)[:-4]) + tlv.encode(0x71, b"\x01"), "cut"),
        (b"\x70\x05a", "offset 2"),
    ],
)
def test_a_broken_certificate_container_is_told(container: bytes, named: str) -> None:
    with pytest.raises(MalformedAnswer, match=named):
        objects.parse_certificate(container)


def test_discovery() -> None:
    encoded = objects.Discovery(0x6000).encode()
    again = objects.parse_discovery(tlv.unwrap(encoded, Tag.DISCOVERY))
    assert again.knows_application_pin
    assert again.knows_global_pin
    assert not objects.Discovery(0x4000).knows_global_pin
    with pytest.raises(CardError) as caught:
        objects.parse_discovery(tlv.encode(0x5F2F, b"\x40"))
    assert caught.value.fault is CardFault.MALFORMED


@pytest.mark.parametrize(
    ("pin", "block"),
    [
        ("123456", "313233343536ffff"),
        ("12345678", "3132333435363738"),
        ("12345", None),
        ("123456789", None),
        ("12345a", None),
        ("１２３４５６", None),
        ("", None),
    ],
)
def test_pin_block(pin: str, block: str | None) -> None:
    if block is None:
        with pytest.raises(ValueError, match="6 to 8 digits"):
            objects.pin_block(pin)
    else:
        assert objects.pin_block(pin).hex() == block


@pytest.mark.parametrize("puk", ["12345", "123456789", "пук-пук", "\x00234567"])
def test_puk_block_refuses(puk: str) -> None:
    with pytest.raises(ValueError, match="6 to 8 ASCII"):
        objects.puk_block(puk)


@pytest.mark.parametrize(
    ("slot", "tag"),
    [
        (Slot.AUTHENTICATION, 0x5FC105),
        (Slot.SIGNATURE, 0x5FC10A),
        (Slot.KEY_MANAGEMENT, 0x5FC10B),
        (Slot.CARD_AUTHENTICATION, 0x5FC101),
    ],
)
def test_certificates_lie_where_the_standard_says(slot: Slot, tag: int) -> None:
    assert slot.certificate_tag == tag
    assert yubikit_piv.OBJECT_ID.from_slot(yubikit_piv.SLOT(slot)) == tag
