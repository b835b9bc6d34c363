"""What a software card knows between power-on and power-off, shared by its commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum

import msgspec

from card_personalization.chip.softcard.signing import DigestSigner, public_point, sign_with_ecdsa
from card_personalization.chip.softcard.state import CardState, Profile

RandomBytes = Callable[[int], bytes]


class Interface(StrEnum):
    """How the card lies at the reader."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"


class Refused(Exception):
    """The card refuses a command with this status word."""

    def __init__(self, sw: int) -> None:
        self.sw = int(sw)
        super().__init__(f"{sw:04X}")


class Session:
    """The card's memory (`state`) and what it forgets on reset.

    `pin_verified` lasts until reset; `pin_fresh` only until the next command other than VERIFY,
    which is what 9C asks for. `witness` and `challenge` are the 16 random bytes of an
    authentication begun.
    """

    def __init__(
        self,
        state: CardState,
        interface: Interface,
        signer: DigestSigner = sign_with_ecdsa,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self.state = state
        self.interface = interface
        self.signer = signer
        self.random_bytes = random_bytes
        self._points: dict[bytes, bytes] = {}
        self.forget()

    def forget(self) -> None:
        """What loss of power or a reset does."""
        self.selected = False
        self.pin_verified = False
        self.pin_fresh = False
        self.management_proven = False
        self.witness = b""
        self.challenge = b""

    def change(self, **fields: object) -> None:
        """Replace fields of the lasting state."""
        self.state = msgspec.structs.replace(self.state, **fields)

    def point(self, scalar: bytes) -> bytes:
        """The public point of a private number, reckoned once."""
        if scalar not in self._points:
            self._points = {scalar: public_point(scalar)} | dict(list(self._points.items())[:31])
        return self._points[scalar]

    @property
    def keeps_to_contacts(self) -> bool:
        """Whether NIST's rule holds now that PIN and most objects need contacts."""
        return self.state.profile is Profile.STRICT and self.interface is Interface.CONTACTLESS
