"""What a software card knows between power-on and power-off, shared by its commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum

import msgspec

from card_personalization.chip.apdu import Sw
from card_personalization.chip.ecdsa_signature import public_point
from card_personalization.chip.softcard.signing import DigestSigner, sign_with_ecdsa
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
    which is what 9C asks for. `secured` tells whether the command came through a secure channel,
    whose other end may administer the card as the holder of 9B may. `witness` and `challenge` are
    the 16 random bytes of an authentication begun.
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
        self.secured = False
        self.witness = b""
        self.challenge = b""

    def change(self, **fields: object) -> None:
        """Replace fields of the lasting state."""
        self.state = msgspec.structs.replace(self.state, **fields)

    def change_within_memory(self, **fields: object) -> None:
        """Replace fields of the lasting state, or the refusal 6A84 when they take too much room."""
        changed = msgspec.structs.replace(self.state, **fields)
        if changed.free_bytes < 0 and changed.free_bytes < self.state.free_bytes:
            raise Refused(Sw.NO_SPACE)
        self.state = changed

    @property
    def may_administer(self) -> bool:
        """Whether 9B was proven, or the command came through a secure channel."""
        return self.management_proven or self.secured

    def point(self, scalar: bytes) -> bytes:
        """The public point of a private number, reckoned once."""
        if scalar not in self._points:
            self._points = {scalar: public_point(scalar)} | dict(list(self._points.items())[:31])
        return self._points[scalar]

    @property
    def keeps_to_contacts(self) -> bool:
        """Whether NIST's rule holds now that PIN and most objects need contacts."""
        return self.state.profile is Profile.STRICT and self.interface is Interface.CONTACTLESS
