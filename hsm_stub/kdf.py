"""Key derivation: NIST SP 800-108r1 §4.1, counter mode with AES-CMAC as the PRF.

K(i) = CMAC(master, [i]₃₂ ‖ label ‖ 00 ‖ context ‖ [L]₃₂), i from 1, L the output length in bits,
integers big-endian. The PRF is a parameter, so that the master key may stay inside a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TERMINAL_LABEL: Final = b"spk terminal MAC"
EXCHANGE_LABEL: Final = b"spk terminal KEK"
CARD_ADMIN_LABEL: Final = b"spk card 9B"
CARD_CHANNEL_LABEL: Final = b"spk card SCP03"
CMAC_BYTES: Final = 16
OUTPUT_BYTES_MAX: Final = 64


def derive(cmac: Callable[[bytes], bytes], label: bytes, context: bytes, length: int) -> bytes:
    """Return `length` bytes (at most 64) derived with `cmac` under the master key."""
    if not 0 < length <= OUTPUT_BYTES_MAX:
        raise ValueError(f"{length} bytes asked of the derivation; 1 to {OUTPUT_BYTES_MAX} allowed")
    fixed = label + b"\0" + context + (length * 8).to_bytes(4)
    rounds = -(-length // CMAC_BYTES)
    blocks = (cmac(i.to_bytes(4) + fixed) for i in range(1, rounds + 1))
    return b"".join(blocks)[:length]


def terminal_context(terminal_id: str, key_id: int) -> bytes:
    """Return the context of a terminal's MAC or exchange key: 8 ASCII characters, generation."""
    return terminal_id.encode("ascii") + key_id.to_bytes(1)


def card_context(card_guid: bytes, version: int) -> bytes:
    """Return the context of a card's 9B and channel keys: the GUID's 16 bytes, the version."""
    return card_guid + version.to_bytes(1)
