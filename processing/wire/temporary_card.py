"""Temporary card v1: a QR code that stands in for a lost card for some days, online only.

It is text for a QR code in alphanumeric mode: `SPK1:` and the base45 (RFC 9285) of a signed map
(`processing.wire.signed_map`) of the domain TEMPORARY_CARD:

| key | value |
| --- | --- |
| 1 | version of the format, 1 |
| 2 | GUID of the temporary card (16 bytes) |
| 3 | region that issued it |
| 4 | last day, days since 1970-01-01 |
| 5 | private key, the P-256 scalar (32 bytes) |

Who shows the code hands over the key: a till signs the digest with it as a chip would have done,
and the centre verifies that as it does any tap. So it proves less than a card, which is why it is
short-lived, cannot stand in for a PIN, and is never believed without the centre. The signature
lets a till tell a forgery from a code of the centre's before it asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, Self

import base45
import msgspec

from processing.wire.bilingual import BilingualFault
from processing.wire.signed_map import MapFault, SignedMapError, map_bytes, open_sealed, seal
from processing.wire.statement import Domain

PREFIX: Final = "SPK1:"
VERSION: Final = 1
TEXT_LENGTH_MAX: Final = 400

_GUID_BYTES: Final = 16
_SCALAR_BYTES: Final = 32
_EPOCH: Final = date(1970, 1, 1)


class TemporaryCardFault(BilingualFault):
    """Why a code is no temporary card. The list is closed."""

    UNREADABLE = (
        "это не QR-код временной карты: покажите его целиком и без бликов",
        "this is no temporary card's QR code: show the whole of it, without glare",
    )
    KEY_OTHER = (
        "код выпущен не этим регионом или подписан неизвестным ключом",
        "the code is another region's, or signed with an unknown key",
    )
    SIGNATURE_WRONG = (
        "подпись кода неверна: он подделан",
        "the code's signature is wrong: it is forged",
    )


class TemporaryCardError(ValueError):
    """A code that is no temporary card of the centre's; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: TemporaryCardFault) -> None:
        super().__init__(fault.en)
        self.fault = fault


class TemporaryCard(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the code (see the module for the layout)."""

    card_id: bytes
    region: int
    valid_to: date
    private_key: bytes

    @property
    def document(self) -> bytes:
        """The bytes that are signed."""
        days = (self.valid_to - _EPOCH).days
        return map_bytes(
            {1: VERSION, 2: self.card_id, 3: self.region, 4: days, 5: self.private_key}
        )

    def encode(self, key_id: bytes, signature: bytes) -> str:
        """Return the text of the QR code."""
        data = seal(self.document, key_id, signature)
        return PREFIX + str(base45.b45encode(data), "ascii")

    @classmethod
    def decode(cls, text: str, public_keys: Sequence[bytes]) -> Self:
        """Return the card in a scanned text; raises `TemporaryCardError` unless it is signed.

        `public_keys` are the centre's content keys, uncompressed P-256 points.
        """
        try:
            body = open_sealed(_unwrapped(text), Domain.TEMPORARY_CARD, public_keys)
        except SignedMapError as error:
            raise TemporaryCardError(_OF_MAP[error.fault]) from None
        match body:
            case {
                1: 1,
                2: bytes() as card_id,
                3: int() as region,
                4: int() as days,
                5: bytes() as private_key,
                **others,
            } if not others and (len(card_id), len(private_key)) == (_GUID_BYTES, _SCALAR_BYTES):
                pass
            case _:
                raise TemporaryCardError(TemporaryCardFault.UNREADABLE)
        try:
            valid_to = _EPOCH + timedelta(days=days)
        except OverflowError:
            raise TemporaryCardError(TemporaryCardFault.UNREADABLE) from None
        return cls(card_id=card_id, region=region, valid_to=valid_to, private_key=private_key)

    def __repr__(self) -> str:
        """Leave the key out: it must not reach a log."""
        return f"TemporaryCard(card_id={self.card_id.hex()!r}, private_key=<hidden>)"


def _unwrapped(text: str) -> bytes:
    text = text.strip()
    if not text.startswith(PREFIX) or len(text) > TEXT_LENGTH_MAX:
        raise TemporaryCardError(TemporaryCardFault.UNREADABLE)
    try:
        return bytes(base45.b45decode(text[len(PREFIX) :]))
    except ValueError:
        raise TemporaryCardError(TemporaryCardFault.UNREADABLE) from None


_OF_MAP: Final = {
    MapFault.UNREADABLE: TemporaryCardFault.UNREADABLE,
    MapFault.KEY_OTHER: TemporaryCardFault.KEY_OTHER,
    MapFault.SIGNATURE_WRONG: TemporaryCardFault.SIGNATURE_WRONG,
}
