"""The host's half of mutual authentication with the management key 9B (SP 800-73-5 part 2 §A.1).

The card sends a random witness under 9B; the host decrypts it and sends it back with a challenge
of its own; the card answers with the challenge under 9B. Whoever holds 9B does the host's half:
an HSM that never lets the key out, or `LocalManagementKey` for factory keys and tests.
"""

from __future__ import annotations

import hmac
import os
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from card_personalization.chip.errors import CardError, CardFault
from card_personalization.chip.piv.objects import AES_BLOCK_BYTES, Algorithm


class ManagementHost(Protocol):
    """One authentication: `begin`, then `finish`, once each."""

    @property
    def algorithm(self) -> Algorithm:
        """The AES variant of the key."""

    def begin(self, witness_ciphertext: bytes) -> tuple[bytes, bytes]:
        """The decrypted witness and a fresh challenge, 16 bytes each."""

    def finish(self, response: bytes) -> None:
        """Check the card's answer to the challenge. CardError(CARD_UNPROVEN) if it is wrong."""


class LocalManagementKey:
    """The host's half with a key in this process. ValueError if its length does not fit."""

    def __init__(self, key: bytes, algorithm: Algorithm) -> None:
        if len(key) != algorithm.key_bytes:
            raise ValueError(
                f"a key of {algorithm.name} has {algorithm.key_bytes} bytes, not {len(key)}"
            )
        self.algorithm = algorithm
        # One block of random bytes per use: the standard asks for plain block encryption.
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305
        self._expected = b""

    def begin(self, witness_ciphertext: bytes) -> tuple[bytes, bytes]:
        """The decrypted witness and a fresh challenge, 16 bytes each."""
        decryptor = self._cipher.decryptor()
        witness = decryptor.update(witness_ciphertext) + decryptor.finalize()
        challenge = os.urandom(AES_BLOCK_BYTES)
        encryptor = self._cipher.encryptor()
        self._expected = encryptor.update(challenge) + encryptor.finalize()
        return witness, challenge

    def finish(self, response: bytes) -> None:
        """Check the card's answer to the challenge. CardError(CARD_UNPROVEN) if it is wrong."""
        expected, self._expected = self._expected, b""
        if not expected or not hmac.compare_digest(expected, response):
            raise CardError(CardFault.CARD_UNPROVEN)
