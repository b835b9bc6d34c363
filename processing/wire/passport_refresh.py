"""A passport renewed at a terminal: the bodies of its two requests (JSON, byte strings as base64).

The card's management key 9B is proven by the key service: the terminal carries the four messages of
the mutual authentication (SP 800-73-5 part 2 §A.1) between card and centre and learns no key. The
passport comes with the second answer only: whoever gets it has the card at hand.

| path, below the terminals' address | body | answer |
| --- | --- | --- |
| POST passport/begin | `BeginRefresh` | `RefreshStarted` |
| POST passport/finish | `FinishRefresh` | `CardPassport` of `processing.wire.api` |

Both carry `processing.wire.terminal_http` in the Authorization header.
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

BEGIN_PATH: Final = "/terminals/v1/passport/begin"
FINISH_PATH: Final = "/terminals/v1/passport/finish"
REFRESH_BODY_BYTES_MAX: Final = 4_096

Block = Annotated[bytes, Meta(min_length=16, max_length=16)]


class BeginRefresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which card is at the reader, SHA-256 of the passport on it (empty: none), its witness."""

    card_id: UUID
    passport_sha256: bytes
    witness: Block


class RefreshStarted(msgspec.Struct, frozen=True, kw_only=True):
    """`fresh`: the passport on the card is the right one, the rest is empty.

    Else the witness decrypted, a challenge for the card, and a handle that serves once.
    """

    fresh: bool = False
    handle: bytes = b""
    witness: bytes = b""
    challenge: bytes = b""


class FinishRefresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card's answer to the challenge."""

    handle: Block
    response: Block
