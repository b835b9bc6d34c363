r"""How a terminal proves itself over HTTP: AES-CMAC under the MAC key that it has for ISO 8583.

The header is `Authorization: SPK-MAC AP000001:3:1790000000000:0123456789abcdef`: terminal, key
generation, time of sending (UTC milliseconds since 1970), MAC. The MAC (8 bytes, hex) covers
`spk terminal http\x01`, the path, a zero byte, the time in digits, a zero byte and SHA-256 of the
body: no message of the other port begins so, so neither can be taken for one of the other.
"""

from __future__ import annotations

import hashlib
from typing import Final, Self

import msgspec

from processing.wire.iso8583.mac import Mac

SCHEME: Final = "SPK-MAC"
CLOCK_SKEW_MAX_MS: Final = 300_000
"""Longest time between sending and arriving, and how far a terminal's clock may be off."""
_TAG: Final = b"spk terminal http\x01"
_CLAIM_CHARS_MAX: Final = 64


class Claim(msgspec.Struct, frozen=True):
    """What a header says: who sends, under which generation of its key, when; not proven yet."""

    terminal_id: str
    key_id: int
    sent_at_ms: int
    tag: bytes

    @classmethod
    def of(
        cls, terminal_id: str, key_id: int, key: bytes, now_ms: int, path: str, body: bytes
    ) -> Self:
        """Return the claim of a request that is sent now."""
        return cls(terminal_id, key_id, now_ms, Mac(key).tag(_covered(path, now_ms, body)))

    @classmethod
    def read(cls, header: str) -> Self | None:
        """Return the claim in an Authorization header; None when there is none of its shape."""
        scheme, _, rest = header.partition(" ")
        parts = rest.split(":") if len(rest) <= _CLAIM_CHARS_MAX else []
        if scheme != SCHEME or len(parts) != 4 or not rest.isascii():
            return None
        terminal_id, key_id, sent_at_ms, tag = parts
        try:
            claim = cls(terminal_id, int(key_id), int(sent_at_ms), bytes.fromhex(tag))
        except ValueError:
            return None
        return claim if len(terminal_id) == 8 and 0 <= claim.key_id <= 255 else None

    @property
    def header(self) -> str:
        """The value of the Authorization header."""
        return f"{SCHEME} {self.terminal_id}:{self.key_id}:{self.sent_at_ms}:{self.tag.hex()}"

    def proven(self, mac: Mac, now_ms: int, path: str, body: bytes) -> bool:
        """Whether it was sent just now by who has the key, for this path and body."""
        timely = abs(now_ms - self.sent_at_ms) <= CLOCK_SKEW_MAX_MS
        return timely and mac.matches(_covered(path, self.sent_at_ms, body), self.tag)


def _covered(path: str, sent_at_ms: int, body: bytes) -> bytes:
    sha256 = hashlib.sha256(body).digest()
    return _TAG + path.encode() + b"\0" + f"{sent_at_ms}".encode() + b"\0" + sha256
