"""The shortest way to a software card: a call in the same process."""

from __future__ import annotations

from typing import Protocol

from card_personalization.chip.apdu import decode_response
from card_personalization.chip.errors import CardFault, TransportError


class ApduCard(Protocol):
    """A card as a machine that answers bytes with bytes: a SoftCard, or one kept in a drawer."""

    @property
    def atr(self) -> bytes:
        """The answer to reset, without resetting."""

    def power_on(self) -> bytes:
        """Power up; the answer to reset."""

    def power_off(self) -> None:
        """Forget everything that needs power."""

    def reset(self) -> bytes:
        """Forget what a reset forgets; the answer to reset."""

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU with at least two bytes."""


class InProcessTransport:
    """A transport to a card in this process, powered on from the start."""

    def __init__(self, card: ApduCard, name: str = "software card") -> None:
        self._card: ApduCard | None = card
        self.name = name
        card.power_on()

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Send one command APDU; the answer's data and status word."""
        if self._card is None:
            raise TransportError(CardFault.CARD_REMOVED, reader=self.name)
        answer = decode_response(self._card.transmit(command))
        return answer.data, answer.sw

    def close(self) -> None:
        """Power the card off. Closing twice does nothing."""
        card, self._card = self._card, None
        if card is not None:
            card.power_off()
