"""What a transport is: one method that carries command bytes to a card and brings an answer."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A way to one card. Not for several threads at once."""

    @property
    def name(self) -> str:
        """What people call this way: the reader's name, or the card's."""

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Send one command APDU; give the answer's data and status word. TransportError."""

    def close(self) -> None:
        """Let the card go. Closing twice does nothing."""
