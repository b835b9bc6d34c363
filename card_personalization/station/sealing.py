"""PIN and PUK of a card under way, sealed so that the station's disk alone tells nobody.

AES-256-GCM under a key that HKDF-SHA256 makes of the card's own 9B key. That key is never on the
station's disk: the key service derives it again for the card's GUID, which it counts and records,
or the bureau's batch, encrypted to the station's key, holds it.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from card_personalization.station.faults import StationError, StationFault
from card_personalization.station.pin_letter import PinLetter

_INFO: Final = b"spk station codes"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def seal_codes(letter: PinLetter, management_key: bytes, guid: bytes) -> bytes:
    """Return a card's letter, sealed under its 9B key for its GUID (16 bytes)."""
    nonce = os.urandom(_NONCE_BYTES)
    plain = msgspec.json.encode(letter)
    return nonce + AESGCM(_key(management_key, guid)).encrypt(nonce, plain, guid)


def open_codes(sealed: bytes, management_key: bytes, guid: bytes) -> PinLetter:
    """Return the letter. StationError(SEAL_BROKEN) if it was sealed for another card or changed."""
    nonce, cipher_text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        plain = AESGCM(_key(management_key, guid)).decrypt(nonce, cipher_text, guid)
    except (InvalidTag, ValueError):
        raise StationError(StationFault.SEAL_BROKEN, guid=guid.hex()) from None
    return msgspec.json.decode(plain, type=PinLetter)


def _key(management_key: bytes, guid: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, guid, _INFO).derive(management_key)
