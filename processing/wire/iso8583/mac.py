"""The terminal's message authentication code: AES-CMAC (RFC 4493, NIST SP 800-38B), 8 bytes.

The MAC is the last field of a message, 128 when there is a secondary bitmap and 64 otherwise. It
covers every byte before it as it travels, from the type indicator on, length prefixes and bitmaps
included; framing and TPDU are outside.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from processing.wire.iso8583.codec import NO_FIELDS, Sound, encode
from processing.wire.iso8583.errors import Decoded, WireError
from processing.wire.iso8583.spec import MAC_BYTES, Profile

MAC_PRIMARY: Final = 64
MAC_SECONDARY: Final = 128

# Asking an enum for a member takes as long as three look-ups.
_BINARY: Final = Profile.BINARY


class Mac:
    """One terminal's MAC key, set up once and copied per message, which is the fast way.

    `key` is an AES key of 16, 24 or 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = CMAC(AES(key))

    def tag(self, data: bytes) -> bytes:
        """Return the first eight bytes of the CMAC over `data`."""
        mac = self._keyed.copy()
        mac.update(data)
        return mac.finalize()[:MAC_BYTES]

    def matches(self, data: bytes, tag: bytes) -> bool:
        """Whether `tag` is the MAC of `data`; takes the same time for every wrong tag."""
        return hmac.compare_digest(self.tag(data), tag)


def sealed(
    mti: str,
    fields: dict[int, bytes],
    profile: Profile,
    mac: Mac | None,
    sound: Sound = NO_FIELDS,
) -> bytes:
    """Return the message with its MAC, or without one when there is no key for it.

    `fields` and `sound` as in `codec.encode`.
    """
    if mac is None:
        return encode(mti, fields, profile, sound)
    covered = encode(mti, fields, profile, sound, last_follows=True)
    tag = mac.tag(covered)
    return covered + (tag if profile is _BINARY else tag.hex().upper().encode("ascii"))


def unsealed(frame: bytes, decoded: Decoded, profile: Profile) -> tuple[bytes, bytes] | None:
    """Return the MAC of a decoded message and the bytes that it covers, or None if it has none.

    Raises `WireError` when field 64 stands before other fields, where it could not cover them.
    """
    number = max(decoded.fields, default=0)
    if number not in (MAC_PRIMARY, MAC_SECONDARY):
        if MAC_PRIMARY in decoded.fields:
            expected = "the MAC in field 128, since a secondary bitmap is there"
            raise WireError("64", 0, expected, "the MAC in field 64")
        return None
    return decoded.fields[number], frame[: -_mac_characters(profile)]


def mac_field(fields: Mapping[int, bytes]) -> int:
    """Return where the MAC belongs in a message with these fields."""
    return MAC_SECONDARY if max(fields, default=0) > MAC_PRIMARY else MAC_PRIMARY


def _mac_characters(profile: Profile) -> int:
    return MAC_BYTES if profile is _BINARY else 2 * MAC_BYTES
