"""Names, numbers and containers of the PIV card application (NIST SP 800-73-5 part 1, 800-78-5)."""

from __future__ import annotations

import datetime
import zlib
from enum import IntEnum
from typing import Final

import msgspec

from card_personalization.chip import tlv
from card_personalization.chip.errors import MalformedAnswer

# RID of NIST, PIX and version 1.0 (part 1 §2.2); cards are selected by the part without version.
PIV_AID: Final = bytes.fromhex("A000000308000010000100")
PIV_AID_TRUNCATED: Final = bytes.fromhex("A00000030800001000")

GUID_BYTES: Final = 16
FASCN_BYTES: Final = 25
# The FASC-N of a card without a federal agency: 9999-9999-999999-0-1-0000000000-3-0000-1, as
# PIV-I cards carry it; readers then take the GUID as the card's number (part 1 §3.1.2).
FASCN_NON_FEDERAL: Final = bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB")

# Container capacities of part 1 table 9; a card may give more, a program may not count on it.
CERTIFICATE_LIMIT_BYTES: Final = 1_856
PASSPORT_LIMIT_BYTES: Final = 1_900
# A compressed certificate may not unfold beyond this.
UNPACKED_LIMIT_BYTES: Final = 16_384
PIN_BYTES: Final = 8
PIN_DIGITS_MIN: Final = 6


class Tag(IntEnum):
    """Data objects by their BER-TLV tag (part 1 table 3)."""

    DISCOVERY = 0x7E
    BIOMETRIC_GROUP = 0x7F61
    CERTIFICATE_9E = 0x5FC101
    CHUID = 0x5FC102
    FINGERPRINTS = 0x5FC103
    CERTIFICATE_9A = 0x5FC105
    SECURITY = 0x5FC106
    CAPABILITY = 0x5FC107
    FACIAL_IMAGE = 0x5FC108
    PRINTED = 0x5FC109
    CERTIFICATE_9C = 0x5FC10A
    CERTIFICATE_9D = 0x5FC10B
    KEY_HISTORY = 0x5FC10C
    RETIRED_1 = 0x5FC10D
    RETIRED_20 = 0x5FC120
    IRIS = 0x5FC121
    SECURE_MESSAGING_SIGNER = 0x5FC122
    PAIRING_CODE = 0x5FC123


# The social passport lies in the first retired certificate's object, which any bought card has;
# where a card has none, in the security object, which nothing of ours needs otherwise.
PASSPORT_TAG: Final = Tag.RETIRED_1
PASSPORT_FALLBACK_TAG: Final = Tag.SECURITY


class Slot(IntEnum):
    """Asymmetric keys by their key reference (part 1 table 4b)."""

    AUTHENTICATION = 0x9A
    SIGNATURE = 0x9C
    KEY_MANAGEMENT = 0x9D
    CARD_AUTHENTICATION = 0x9E

    @property
    def certificate_tag(self) -> Tag:
        """Where the certificate of this key lies."""
        return _CERTIFICATE_TAGS[self]


_CERTIFICATE_TAGS: Final = {
    Slot.AUTHENTICATION: Tag.CERTIFICATE_9A,
    Slot.SIGNATURE: Tag.CERTIFICATE_9C,
    Slot.KEY_MANAGEMENT: Tag.CERTIFICATE_9D,
    Slot.CARD_AUTHENTICATION: Tag.CERTIFICATE_9E,
}


class Reference(IntEnum):
    """Secrets by their key reference (part 1 table 4a)."""

    GLOBAL_PIN = 0x00
    PIN = 0x80
    PUK = 0x81
    FINGER = 0x96
    MANAGEMENT_KEY = 0x9B


class Algorithm(IntEnum):
    """Algorithm identifiers (SP 800-78-5 table 9) that social cards use."""

    AES_128 = 0x08
    AES_192 = 0x0A
    AES_256 = 0x0C
    ECC_P256 = 0x11

    @property
    def key_bytes(self) -> int:
        """Length of a management key of this algorithm; of a private number for P-256."""
        return _KEY_BYTES[self]


_KEY_BYTES: Final = {
    Algorithm.AES_128: 16,
    Algorithm.AES_192: 24,
    Algorithm.AES_256: 32,
    Algorithm.ECC_P256: 32,
}
AES_BLOCK_BYTES: Final = 16


class DynamicTag(IntEnum):
    """Data objects inside the dynamic authentication template 7C (part 2 table 7)."""

    TEMPLATE = 0x7C
    WITNESS = 0x80
    CHALLENGE = 0x81
    RESPONSE = 0x82
    EXPONENTIATION = 0x85


class ContainerTag(IntEnum):
    """Data objects inside containers and key templates (part 1 appendix A, part 2 §3.3.2)."""

    OBJECT = 0x53
    TAG_LIST = 0x5C
    CERTIFICATE = 0x70
    CERTIFICATE_INFO = 0x71
    ERROR_DETECTION = 0xFE
    GENERATION = 0xAC
    ALGORITHM = 0x80
    PUBLIC_KEY = 0x7F49
    POINT = 0x86


class ChuidTag(IntEnum):
    """Data objects inside the CHUID (part 1 table 10)."""

    FASCN = 0x30
    GUID = 0x34
    EXPIRY = 0x35
    ISSUER_SIGNATURE = 0x3E


class Chuid(msgspec.Struct, frozen=True):
    """Card Holder Unique Identifier: the card's GUID (16 bytes) and its last day of use."""

    guid: bytes
    expires_on: datetime.date
    fascn: bytes = FASCN_NON_FEDERAL
    issuer_signature: bytes = b""

    def encode(self) -> bytes:
        """The container's bytes. ValueError for a GUID or FASC-N of another length."""
        if len(self.guid) != GUID_BYTES or len(self.fascn) != FASCN_BYTES:
            raise ValueError(f"a GUID has {GUID_BYTES} bytes, a FASC-N {FASCN_BYTES}")
        return b"".join(
            (
                tlv.encode(ChuidTag.FASCN, self.fascn),
                tlv.encode(ChuidTag.GUID, self.guid),
                tlv.encode(ChuidTag.EXPIRY, self.expires_on.strftime("%Y%m%d").encode()),
                tlv.encode(ChuidTag.ISSUER_SIGNATURE, self.issuer_signature),
                tlv.encode(ContainerTag.ERROR_DETECTION),
            )
        )


def parse_chuid(container: bytes) -> Chuid:
    """A CHUID as any PIV card holds it. MalformedAnswer naming what is missing or wrong."""
    items = _parse(container, "CHUID")
    guid = tlv.find(items, ChuidTag.GUID)
    expiry = tlv.find(items, ChuidTag.EXPIRY)
    if guid is None or len(guid) != GUID_BYTES:
        raise MalformedAnswer(f"CHUID without a GUID of {GUID_BYTES} bytes (tag 34)")
    if expiry is None or len(expiry) != len("YYYYMMDD") or not expiry.isdigit():
        raise MalformedAnswer("CHUID without an expiry date of 8 digits (tag 35)")
    try:
        expires_on = datetime.date(int(expiry[:4]), int(expiry[4:6]), int(expiry[6:]))
    except ValueError:
        raise MalformedAnswer("CHUID expires on a day that no calendar has (tag 35)") from None
    return Chuid(
        guid=guid,
        expires_on=expires_on,
        fascn=tlv.find(items, ChuidTag.FASCN) or b"",
        issuer_signature=tlv.find(items, ChuidTag.ISSUER_SIGNATURE) or b"",
    )


def encode_certificate(der: bytes) -> bytes:
    """The container of one certificate, uncompressed. ValueError beyond its capacity."""
    container = (
        tlv.encode(ContainerTag.CERTIFICATE, der)
        + tlv.encode(ContainerTag.CERTIFICATE_INFO, b"\x00")
        + tlv.encode(ContainerTag.ERROR_DETECTION)
    )
    if len(container) > CERTIFICATE_LIMIT_BYTES:
        raise ValueError(
            f"a certificate's container has {CERTIFICATE_LIMIT_BYTES} bytes, "
            f"this one needs {len(container)}"
        )
    return container


def parse_certificate(container: bytes) -> bytes:
    """The DER certificate in a container, unpacked if the card keeps it gzipped.

    MalformedAnswer if there is none or it unfolds beyond UNPACKED_LIMIT_BYTES.
    """
    items = _parse(container, "certificate")
    der = tlv.find(items, ContainerTag.CERTIFICATE)
    if not der:
        raise MalformedAnswer("certificate container without a certificate (tag 70)")
    info = tlv.find(items, ContainerTag.CERTIFICATE_INFO) or b"\x00"
    if not info[0] & 0x01:
        return der
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(der, UNPACKED_LIMIT_BYTES)
    except zlib.error as error:
        raise MalformedAnswer(f"certificate cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise MalformedAnswer(f"certificate is cut or unfolds beyond {UNPACKED_LIMIT_BYTES} bytes")
    return unpacked


class Discovery(msgspec.Struct, frozen=True):
    """What the discovery object tells: the PIN usage policy (part 1 §3.3.2)."""

    pin_usage_policy: int

    @property
    def knows_application_pin(self) -> bool:
        """Whether the card has the PIN of reference 80."""
        return bool(self.pin_usage_policy & 0x4000)

    @property
    def knows_global_pin(self) -> bool:
        """Whether the card also takes the PIN of reference 00."""
        return bool(self.pin_usage_policy & 0x2000)

    def encode(self) -> bytes:
        """The whole object, tag 7E included: it comes without the usual wrapper 53."""
        return tlv.encode(
            Tag.DISCOVERY,
            tlv.encode(0x4F, PIV_AID)
            + tlv.encode(0x5F2F, self.pin_usage_policy.to_bytes(2, "big")),
        )


def parse_discovery(content: bytes) -> Discovery:
    """The content of tag 7E. MalformedAnswer without a PIN usage policy of two bytes."""
    policy = tlv.find(_parse(content, "discovery object"), 0x5F2F)
    if policy is None or len(policy) != 2:
        raise MalformedAnswer("discovery object without a PIN usage policy (tag 5F2F)")
    return Discovery(int.from_bytes(policy, "big"))


def tag_list(tag: int) -> bytes:
    """The tag list 5C that names one object in GET DATA and PUT DATA."""
    return tlv.encode(
        ContainerTag.TAG_LIST, tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    )


def pin_block(pin: str) -> bytes:
    """A PIN of 6 to 8 digits in the 8 bytes that cards take, padded with FF (part 2 §2.4.3).

    ValueError for anything else, before an attempt is lost on the card.
    """
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_BYTES and pin.isascii() and pin.isdigit()):
        raise ValueError(f"a PIN has {PIN_DIGITS_MIN} to {PIN_BYTES} digits")
    return pin.encode().ljust(PIN_BYTES, b"\xff")


def puk_block(puk: str) -> bytes:
    """A PUK of 6 to 8 printable ASCII characters as bytes. ValueError for anything else.

    NIST wants 8; shorter ones, as some families come from the factory, are padded with FF.
    """
    if not (PIN_DIGITS_MIN <= len(puk) <= PIN_BYTES and puk.isascii() and puk.isprintable()):
        raise ValueError(f"a PUK has {PIN_DIGITS_MIN} to {PIN_BYTES} ASCII characters")
    return puk.encode().ljust(PIN_BYTES, b"\xff")


def _parse(container: bytes, what: str) -> tuple[tlv.Tlv, ...]:
    try:
        return tlv.parse(container)
    except tlv.TlvError as error:
        raise MalformedAnswer(f"{what}: {error}") from None
