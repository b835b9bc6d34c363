"""Social passport v1: what a card may be served for offline, signed by the centre.

It lies on the card in PIV data object 5FC10D, or 5FC106 where a card has no room there, and is a
signed map (`processing.wire.signed_map`) of the domain SOCIAL_PASSPORT:

| key | value |
| --- | --- |
| 1 | version of the format, 1 |
| 2 | GUID of the card it was made for (16 bytes) |
| 3 | region that issued the card |
| 4 | number, which rises with each passport of a card |
| 5 | first day, days since 1970-01-01 |
| 6 | last day, likewise |
| 7 | array of benefit categories, sorted; for machines, never shown |
| 8 | map of service to [transactions, gross kopecks, days]: what may be given offline at most |

A limit counts what one terminal gave one card offline within the last so many days: a card has no
counter, so terminals that do not hear of each other each count their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Self

import msgspec

from processing.wire.bilingual import BilingualFault
from processing.wire.signed_map import MapFault, SignedMapError, map_bytes, open_sealed, seal
from processing.wire.statement import Domain

VERSION: Final = 1
SIZE_MAX_BYTES: Final = 1_900
"""What every card on the market has room for in one object."""
CATEGORIES_MAX: Final = 32
SERVICES_MAX: Final = 32

_GUID_BYTES: Final = 16
_EPOCH: Final = date(1970, 1, 1)


class PassportFault(BilingualFault):
    """Why a passport allows nothing. The list is closed."""

    UNREADABLE = (
        "социальный паспорт на карте повреждён: обновите его в эмиссионном центре",
        "the card's social passport is damaged: have it refreshed at the issuing office",
    )
    KEY_OTHER = (
        "социальный паспорт подписан неизвестным ключом: обновите файл параметров терминала",
        "the social passport is signed with an unknown key: renew the terminal's parameter file",
    )
    SIGNATURE_WRONG = (
        "подпись социального паспорта неверна: карту задержите и сообщите в центр",
        "the social passport's signature is wrong: keep the card and tell the centre",
    )
    OTHER_CARD = (
        "социальный паспорт от другой карты: карту задержите и сообщите в центр",
        "the social passport is another card's: keep the card and tell the centre",
    )


class PassportError(ValueError):
    """A passport that allows nothing; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: PassportFault) -> None:
        super().__init__(fault.en)
        self.fault = fault


class OfflineLimit(msgspec.Struct, frozen=True):
    """What one terminal may give one card offline within `window_days` days, today included."""

    transactions: int
    gross_kopecks: int
    window_days: int


class SocialPassport(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a passport (see the module for the layout)."""

    card_id: bytes
    region: int
    number: int
    valid_from: date
    valid_to: date
    categories: tuple[str, ...]
    limits: Mapping[str, OfflineLimit]

    @property
    def document(self) -> bytes:
        """The bytes that are signed."""
        limits = {
            service: [one.transactions, one.gross_kopecks, one.window_days]
            for service, one in self.limits.items()
        }
        body = {
            1: VERSION,
            2: self.card_id,
            3: self.region,
            4: self.number,
            5: (self.valid_from - _EPOCH).days,
            6: (self.valid_to - _EPOCH).days,
            7: sorted(self.categories),
            8: limits,
        }
        return map_bytes(body)

    def encode(self, key_id: bytes, signature: bytes) -> bytes:
        """Return the signed passport; raises `ValueError` when no card has room for it."""
        data = seal(self.document, key_id, signature)
        if len(data) > SIZE_MAX_BYTES:
            raise ValueError(f"a social passport of {len(data)} bytes: at most {SIZE_MAX_BYTES}")
        return data

    @classmethod
    def decode(cls, data: bytes, card_id: bytes, public_keys: Sequence[bytes]) -> Self:
        """Return the passport of the card with GUID `card_id`; raises `PassportError` if it is not.

        `public_keys` are the centre's content keys, uncompressed P-256 points.
        """
        if len(data) > SIZE_MAX_BYTES:
            raise PassportError(PassportFault.UNREADABLE)
        try:
            body = open_sealed(data, Domain.SOCIAL_PASSPORT, public_keys)
        except SignedMapError as error:
            raise PassportError(_OF_MAP[error.fault]) from None
        passport = cls._of_body(body)
        if passport.card_id != card_id:
            raise PassportError(PassportFault.OTHER_CARD)
        return passport

    @classmethod
    def _of_body(cls, body: object) -> Self:
        match body:
            case {
                1: 1,
                2: bytes() as card_id,
                3: int() as region,
                4: int() as number,
                5: int() as first,
                6: int() as last,
                7: list() as categories,
                8: dict() as limits,
                **others,
            } if not others and len(card_id) == _GUID_BYTES:
                pass
            case _:
                raise PassportError(PassportFault.UNREADABLE)
        try:
            return cls(
                card_id=card_id,
                region=region,
                number=number,
                valid_from=_EPOCH + timedelta(days=first),
                valid_to=_EPOCH + timedelta(days=last),
                categories=msgspec.convert(categories, tuple[str, ...]),
                limits={
                    service: OfflineLimit(*numbers)
                    for service, numbers in msgspec.convert(limits, _Limits).items()
                },
            )
        except (msgspec.ValidationError, OverflowError):
            raise PassportError(PassportFault.UNREADABLE) from None


_Limits = dict[str, tuple[int, int, int]]

_OF_MAP: Final = {
    MapFault.UNREADABLE: PassportFault.UNREADABLE,
    MapFault.KEY_OTHER: PassportFault.KEY_OTHER,
    MapFault.SIGNATURE_WRONG: PassportFault.SIGNATURE_WRONG,
}
