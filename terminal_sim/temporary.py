"""A temporary card at the till: the QR code that a citizen shows instead of a lost card."""

from __future__ import annotations

from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_personalization.chip.ecdsa_signature import raw_from_der
from processing.wire.parameter_file import ParameterFile
from processing.wire.temporary_card import TemporaryCard, TemporaryCardError, TemporaryCardFault
from processing.wire.transaction import Evidence, IdentifierKind
from terminal_sim.card import AskPin, CardRefused, KeyUnknown
from terminal_sim.terminal import CardIdentity, local_date, zone_of

_PREHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA256()))


class PresentedCode:
    """A code that was scanned and found to be the centre's. Made by `read`."""

    def __init__(self, identity: CardIdentity, key: ec.EllipticCurvePrivateKey) -> None:
        self.identity = identity
        self._key = key

    @classmethod
    def read(cls, text: str, parameters: ParameterFile, now_ms: int) -> Self:
        """Read a scanned text; raises `CardRefused` for what is no temporary card in force."""
        try:
            card = TemporaryCard.decode(text, parameters.content_keys)
            key = ec.derive_private_key(int.from_bytes(card.private_key), ec.SECP256R1())
        except TemporaryCardError as error:
            unknown = error.fault is TemporaryCardFault.KEY_OTHER
            raise (KeyUnknown if unknown else CardRefused)(
                f"Код не принят: {error.fault.ru}", f"code not taken: {error.fault.en}"
            ) from error
        except ValueError as error:
            raise CardRefused("Код не принят: в нём нет ключа", "no key in the code") from error
        today = local_date(now_ms, zone_of(parameters.time_zone))
        if today > card.valid_to:
            raise CardRefused(
                f"Временная карта действовала до {card.valid_to:%d.%m.%Y}. Новая карта ждёт в "
                "эмиссионном центре",
                f"the temporary card was valid until {card.valid_to}. The new card waits at the "
                "issuing office",
            )
        name = f"QR {card.card_id.hex()[:8]}"
        identity = CardIdentity(card.card_id, card.region, name, IdentifierKind.QR_CERTIFICATE)
        return cls(identity, key)

    def sign(self, digest: bytes, evidence: Evidence, _ask_pin: AskPin) -> bytes:
        """Sign digest v1 with the code's key: r‖s, low S, 64 bytes. `CardRefused` for a PIN."""
        if evidence is Evidence.PIN:
            raise CardRefused(
                "Для этой услуги нужна карта с ПИН-кодом: временная карта не подходит",
                "this service needs a card with a PIN: a temporary card will not do",
            )
        return raw_from_der(self._key.sign(digest, _PREHASHED))

    def passport(self) -> bytes | None:
        """Return None: no temporary card is served without the centre."""
        return None

    def pin_attempts_remaining(self) -> int | None:
        """Return None: there is no PIN."""
        return None
