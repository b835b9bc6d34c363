"""Card certificates of one slot and one issuer, made by filling in what differs from card to card.

The library builds the first one, from known values that occur nowhere else; the bytes before the
signature of every other are the same but at those places. All of them have fixed lengths, so no
length inside the DER changes. A tenth of the time, of which the signature is most, is left.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

SERIAL_BYTES: Final = 20
UTC_TIME_YEARS: Final = range(1950, 2050)
"""Years that RFC 5280 §4.1.2.5 writes as UTCTime, with 13 characters."""

Build = Callable[["CardFacts"], x509.Certificate]

_SEQUENCE: Final = 0x30
_BIT_STRING: Final = 0x03
# ecdsa-with-SHA256 (RFC 5758 §3.2).
_ALGORITHM: Final = bytes.fromhex("300a06082a8648ce3d040302")


class CardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two cards of one slot: `serial` has 20 bytes, `point` 65."""

    serial: bytes
    point: bytes
    card_number: str
    card_guid: bytes
    start: datetime
    end: datetime

    @property
    def fits(self) -> bool:
        """Whether both moments are written as UTCTime, as those of the template are."""
        return self.start.year in UTC_TIME_YEARS and self.end.year in UTC_TIME_YEARS

    def fields(self) -> tuple[bytes, ...]:
        """The bytes that stand for them in a certificate, each of a fixed length."""
        return (
            self.serial,
            self.point,
            # The subject key identifier (RFC 5280 §4.2.1.2, method 1).
            hashlib.sha1(self.point, usedforsecurity=False).digest(),
            self.card_number.encode("ascii"),
            str(UUID(bytes=self.card_guid)).encode("ascii"),
            f"{self.start:%y%m%d%H%M%S}Z".encode("ascii"),
            f"{self.end:%y%m%d%H%M%S}Z".encode("ascii"),
        )


def draw_serial() -> bytes:
    """Return a random serial number of always 20 bytes, positive (RFC 5280 §4.1.2.2): 158 bits."""
    drawn = os.urandom(SERIAL_BYTES)
    return bytes([0x40 | drawn[0] & 0x3F]) + drawn[1:]


class CertificateTemplate:
    """Certificates of one slot under one issuer; `build` makes one with the library."""

    def __init__(self, build: Build) -> None:
        known = _known_facts()
        self._body = build(known).tbs_certificate_bytes
        self._places = [
            (number, at, len(value))
            for number, value in enumerate(known.fields())
            for at in _places(self._body, value)
        ]

    def body(self, facts: CardFacts) -> bytes:
        """The bytes to be signed (TBSCertificate, DER). ValueError unless `facts.fits`."""
        if not facts.fits:
            raise ValueError("a moment after 2049 is written in another length")
        body, fields = bytearray(self._body), facts.fields()
        for number, at, length in self._places:
            if len(fields[number]) != length:
                raise ValueError(f"field {number} has {len(fields[number])} bytes, not {length}")
            body[at : at + length] = fields[number]
        return bytes(body)


def signed_certificate(body: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the certificate (DER) of a body, signed with ECDSA and SHA-256."""
    signature = key.sign(body, ec.ECDSA(hashes.SHA256()))
    return _tagged(_SEQUENCE, body + _ALGORITHM + _tagged(_BIT_STRING, b"\0" + signature))


def _known_facts() -> CardFacts:
    point = ec.derive_private_key(0x5EED_CA4D, ec.SECP256R1()).public_key().public_numbers()
    return CardFacts(
        serial=bytes([0x41, *range(0xA1, 0xA1 + SERIAL_BYTES - 1)]),
        point=b"\x04" + point.x.to_bytes(32) + point.y.to_bytes(32),
        card_number="9643909817263544556",
        card_guid=bytes(range(0xC0, 0xD0)),
        start=datetime(2031, 5, 17, 11, 22, 33, tzinfo=UTC),
        end=datetime(2036, 7, 19, 12, 43, 54, tzinfo=UTC),
    )


def _places(body: bytes, value: bytes) -> list[int]:
    """Where a value stands in a body; AssertionError if nowhere."""
    found = [at for at in range(len(body) - len(value) + 1) if body.startswith(value, at)]
    if not found:
        raise AssertionError("a card's certificate does not show what is known of the card")
    return found


def _tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + content
