"""9B mutual authentication (SP 800-73-5 part 2 §3.2.4): the host's half, for cards under way."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused

CARD_AUTHENTICATIONS_MAX: Final = 64
"""Most card authentications begun and not finished."""
CARD_AUTHENTICATION_LIFETIME_MS: Final = 30_000
"""A card answers within a second; what takes longer was abandoned."""


class _OpenAuthentication(msgspec.Struct, frozen=True):
    """A challenge on its way to a card: the right response, and when we stop waiting."""

    expected: bytes
    expires_ms: int

    def __repr__(self) -> str:
        return "_OpenAuthentication(<hidden>)"


class CardAuthentications:
    """Authentications begun and not finished. `monotonic_ms` is a clock that never goes back."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._monotonic_ms = monotonic_ms
        self._open: dict[bytes, _OpenAuthentication] = {}

    def __len__(self) -> int:
        self._drop_expired()
        return len(self._open)

    def begin(self, card_key: bytes, witness_ciphertext: bytes) -> c.CardAdminStarted:
        """Return the decrypted witness and a challenge; raises `CommandRefused` when full."""
        self._drop_expired()
        if len(self._open) >= CARD_AUTHENTICATIONS_MAX:
            raise CommandRefused(
                c.Refusal.BUSY,
                f"{CARD_AUTHENTICATIONS_MAX} card authentications are open; try again in "
                f"{CARD_AUTHENTICATION_LIFETIME_MS // 1000} seconds",
            )
        # Exactly one block, which is what SP 800-73-5 encrypts here.
        cipher = Cipher(AES(card_key), ECB())  # noqa: S305
        witness = cipher.decryptor().update(witness_ciphertext)
        challenge, handle = os.urandom(16), os.urandom(16)
        self._open[handle] = _OpenAuthentication(
            expected=cipher.encryptor().update(challenge),
            expires_ms=self._monotonic_ms() + CARD_AUTHENTICATION_LIFETIME_MS,
        )
        return c.CardAdminStarted(handle=handle, witness=witness, challenge=challenge)

    def finish(self, command: c.FinishCardAdmin) -> c.Done:
        """Return when the card's response is right, else raise `CommandRefused`."""
        self._drop_expired()
        # Taken out before the check: a wrong response uses the handle up too.
        started = self._open.pop(command.handle, None)
        if started is None:
            raise CommandRefused(
                c.Refusal.HANDLE_UNKNOWN,
                "this card authentication was never begun, has expired or was finished; "
                "begin another",
            )
        if not hmac.compare_digest(command.response, started.expected):
            raise CommandRefused(
                c.Refusal.CARD_NOT_AUTHENTICATED,
                "the card does not hold the 9B key of this GUID and version",
            )
        return c.Done()

    def forget(self) -> None:
        """Forget all that was begun."""
        self._open.clear()

    def _drop_expired(self) -> None:
        """Forget what expired; the oldest come first, since all live equally long."""
        now_ms = self._monotonic_ms()
        while self._open and (oldest := next(iter(self._open))):
            if self._open[oldest].expires_ms > now_ms:
                return
            del self._open[oldest]
