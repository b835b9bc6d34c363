"""What can be wrong with the bytes of an ISO 8583 port.

- `WireError`: one message cannot be read or written; answered with 30, connection kept
- `FramingError`: the stream has lost its frames; logged, connection closed
"""

from __future__ import annotations

from typing import Final

import msgspec

from processing.wire.outcome import Outcome

FOUND_SHOWN_BYTES: Final = 24
"""How much of a wrong value an error repeats: enough to recognise it, little enough to log."""


class Decoded(msgspec.Struct, frozen=True):
    """A message as the codec reads it: type indicator and raw fields, or as far as it came.

    `mti` is four digits, or "" when not even that could be read. `fields` maps field numbers to
    their values without length prefix; binary fields are raw bytes in every profile.
    """

    mti: str = ""
    fields: dict[int, bytes] = {}


class WireError(ValueError):
    """A message that cannot be read or written.

    `field` is "MTI", "bitmap", "frame", a field number such as "48", or a part of one such as
    "48.SV", "62.IT[12].quantity" or "55.DF01". `offset` counts bytes from the start of the
    message (without framing); 0 when the message was still to be written. `decoded` is what
    could be read. `outcome` is MALFORMED, NOT_SUPPORTED or MAC_WRONG.
    """

    exit_code = 2

    def __init__(
        self,
        field: str,
        offset: int,
        expected: str,
        found: str,
        outcome: Outcome = Outcome.MALFORMED,
    ) -> None:
        super().__init__(field, offset, expected, found)
        self.field = field
        self.offset = offset
        self.expected = expected
        self.found = found
        self.outcome = outcome
        self.decoded = Decoded()

    def __str__(self) -> str:
        """Return one sentence with field, place, expectation and finding."""
        place = f"field {self.field} at byte {self.offset}"
        return f"{place}: expected {self.expected}, found {self.found}"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message and the TPDU that came before it (empty on ports without one)."""

    message: bytes
    tpdu: bytes = b""

    @property
    def answer_tpdu(self) -> bytes:
        """Return the TPDU of the answer: destination and source swapped."""
        tpdu = self.tpdu
        return tpdu[:1] + tpdu[3:5] + tpdu[1:3] if tpdu else tpdu


class FramingError(ValueError):
    """A stream without sound frames; nothing after this point can be trusted.

    `frames` are the sound frames that arrived in the same piece before the bad one.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.frames: tuple[Frame, ...] = ()


def shown(value: bytes) -> str:
    """Return a wrong value for an error message: printable, cut to `FOUND_SHOWN_BYTES`."""
    if not value:
        return "nothing"
    text = repr(value[:FOUND_SHOWN_BYTES])[1:]
    return text if len(value) <= FOUND_SHOWN_BYTES else f"{text}… ({len(value)} bytes)"
