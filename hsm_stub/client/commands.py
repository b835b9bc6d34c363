"""The commands of the key service and their answers: what may be asked of the keys, no more.

Every message is a MessagePack map. A request is `{"request_id": n, "command": {"type": …}}`, its
one answer `{"request_id": n, "answer": {"type": …}}`. Before the first request both sides
greet each other (`hsm_stub.client.handshake`).

No command signs or encrypts bytes of the caller's choice: the service composes what it signs.
Answers that carry a secret hide it from `repr`.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

TERMINAL_KEY_BYTES: Final = 16
"""AES-128, the key of a terminal's CMAC."""
EXCHANGE_KEY_BYTES: Final = 32
"""AES-256, the key under which a terminal gets its next MAC key."""
CARD_ADMIN_KEY_BYTES: Final = 24
"""AES-192 (PIV algorithm 0A), what cards bought today expect in slot 9B."""
CARD_VALIDITY_DAYS_MAX: Final = 3660
"""Longest life of a card certificate: ten years and a week of slack for leap days."""

Byte = Annotated[int, Meta(ge=0, le=255)]
UInt16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
UInt63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Point = Annotated[bytes, Meta(min_length=65, max_length=65)]
TerminalId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{8}\Z")]
CardNumber = Annotated[str, Meta(pattern=r"^[0-9]{19}\Z")]


class Refusal(Enum):
    """Why the service did not do what was asked. The list is closed."""

    MALFORMED_FRAME = "malformed_frame"
    """The frame is no request at all; the connection is closed."""
    FRAME_TOO_LARGE = "frame_too_large"
    """The frame is longer than `FRAME_BYTES_MAX`; the connection is closed."""
    NOT_AUTHENTICATED = "not_authenticated"
    """The greeting failed: wrong token or wrong protocol version; the connection is closed."""
    BAD_ARGUMENT = "bad_argument"
    """Unknown command, or a field of it is missing, of a wrong type or out of range."""
    HANDLE_UNKNOWN = "handle_unknown"
    """The handle of a card authentication was never given, has expired or was used."""
    CARD_NOT_AUTHENTICATED = "card_not_authenticated"
    """The card's response is wrong: it does not hold the 9B key of this GUID and version."""
    BUSY = "busy"
    """A named limit is reached (connections, card authentications); try later."""
    FAULT = "fault"
    """The service failed; its log says how."""


class CertificateSlot(Enum):
    """PIV slot whose public key a certificate binds (SP 800-73-5 part 1, table 4b)."""

    AUTHENTICATION = "9A"
    CARD_AUTHENTICATION = "9E"


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every command shares: unknown fields are refused, so a typing slip is seen."""


class Ping(_Command, tag="ping", frozen=True):
    """Answered by `Done`."""


class GetStatus(_Command, tag="get_status", frozen=True):
    """Answered by `Status`."""


class GetPublicKeys(_Command, tag="get_public_keys", frozen=True):
    """Answered by `PublicKeys`."""


class DeriveTerminalKey(_Command, tag="derive_terminal_key", frozen=True):
    """Derive a terminal's MAC key; answered by `TerminalKey`.

    `terminal_id` has 8 printable ASCII characters; `key_id` is the key's generation, 0 to 255.
    """

    terminal_id: TerminalId
    key_id: Byte


class DeriveExchangeKey(_Command, tag="derive_exchange_key", frozen=True):
    """Export a terminal's exchange key for its parameter file; answered by `ExchangeKey`.

    `exchange_id` is the exchange key's generation, 0 to 255.
    """

    terminal_id: TerminalId
    exchange_id: Byte


class WrapTerminalKey(_Command, tag="wrap_terminal_key", frozen=True):
    """Wrap a terminal's MAC key of generation `key_id` under its exchange key (RFC 3394).

    Answered by `WrappedKey`.
    """

    terminal_id: TerminalId
    key_id: Byte
    exchange_id: Byte


class DeriveCardAdminKey(_Command, tag="derive_card_admin_key", frozen=True):
    """Export a card's 9B key, because the set-key APDU carries it; answered by `CardAdminKey`."""

    card_guid: Bytes16
    version: Byte


class BeginCardAdmin(_Command, tag="begin_card_admin", frozen=True):
    """Begin 9B mutual authentication (SP 800-73-5 part 2 §3.2.4); answered by `CardAdminStarted`.

    `witness_ciphertext` is the card's encrypted witness.
    """

    card_guid: Bytes16
    version: Byte
    witness_ciphertext: Bytes16


class FinishCardAdmin(_Command, tag="finish_card_admin", frozen=True):
    """Check the card's encryption of the challenge; answered by `Done`. A handle serves once."""

    handle: Bytes16
    response: Bytes16


class IssueCardCertificate(_Command, tag="issue_card_certificate", frozen=True):
    """Issue the X.509 certificate of one card slot; answered by `Certificate`.

    `public_key` is an uncompressed P-256 point. Validity is in UTC milliseconds, cut to whole
    seconds, at most `CARD_VALIDITY_DAYS_MAX` long and inside the issuing CA's own.
    """

    slot: CertificateSlot
    public_key: Point
    card_guid: Bytes16
    card_number: CardNumber
    not_before_ms: UInt63
    not_after_ms: UInt63


class SignReceiptBlock(_Command, tag="sign_receipt_block", frozen=True):
    """Sign the root of one journal block; answered by `BlockSignature`.

    The statement signed is `processing.wire.receipt.block_statement`.
    """

    lane: UInt16
    block: UInt63
    leaf_count: Annotated[int, Meta(ge=1, le=0xFFFF)]
    signed_at_ms: UInt63
    root: Bytes32


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer shares."""


class Done(_Answer, tag="done", frozen=True):
    """The command was carried out and has nothing to return."""


class Refused(_Answer, tag="refused", frozen=True):
    """The command was not carried out; `message` names the field and what to do."""

    code: Refusal
    message: str


class PublicKeys(_Answer, tag="public_keys", frozen=True):
    """What anybody may know.

    `receipt_key` is an uncompressed P-256 point (65 bytes), `receipt_key_id` the first 8 bytes of
    SHA-256 over its SubjectPublicKeyInfo. `issuing_certificates` are DER, issuer of cards first.
    """

    receipt_key: bytes
    receipt_key_id: bytes
    issuing_certificates: tuple[bytes, ...]


class TerminalKey(_Answer, tag="terminal_key", frozen=True):
    """A terminal's MAC key (16 bytes). Secret."""

    key: bytes

    def __repr__(self) -> str:
        """Return the name alone: the key must not reach a log."""
        return "TerminalKey(key=<hidden>)"


class ExchangeKey(_Answer, tag="exchange_key", frozen=True):
    """A terminal's exchange key (32 bytes). Secret."""

    key: bytes

    def __repr__(self) -> str:
        """Return the name alone: the key must not reach a log."""
        return "ExchangeKey(key=<hidden>)"


class WrappedKey(_Answer, tag="wrapped_key", frozen=True):
    """A terminal's MAC key, wrapped (24 bytes): of use to who has its exchange key."""

    wrapped: bytes


class CardAdminKey(_Answer, tag="card_admin_key", frozen=True):
    """A card's 9B key (24 bytes). Secret."""

    key: bytes

    def __repr__(self) -> str:
        """Return the name alone: the key must not reach a log."""
        return "CardAdminKey(key=<hidden>)"


class CardAdminStarted(_Answer, tag="card_admin_started", frozen=True):
    """What to send to the card: its decrypted `witness` and our `challenge` (16 bytes each)."""

    handle: bytes
    witness: bytes
    challenge: bytes

    def __repr__(self) -> str:
        """Return the name alone: the witness opens the card's administration."""
        return "CardAdminStarted(handle=<hidden>, witness=<hidden>, challenge=<hidden>)"


class Certificate(_Answer, tag="certificate", frozen=True):
    """An X.509 certificate, DER."""

    der: bytes


class BlockSignature(_Answer, tag="block_signature", frozen=True):
    """Signature over a block statement: raw r‖s (64 bytes), low-S, and its key's id (8 bytes)."""

    key_id: bytes
    signature: bytes


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key served one purpose since the service started."""

    key: str
    purpose: str
    uses: int


class Status(_Answer, tag="status", frozen=True):
    """How the service is."""

    backend: str
    uptime_ms: int
    receipt_key_id: bytes
    region_code: str
    connections: int
    card_authentications_open: int
    key_uses: tuple[KeyUse, ...]


Command = (
    Ping
    | GetStatus
    | GetPublicKeys
    | DeriveTerminalKey
    | DeriveExchangeKey
    | WrapTerminalKey
    | DeriveCardAdminKey
    | BeginCardAdmin
    | FinishCardAdmin
    | IssueCardCertificate
    | SignReceiptBlock
)
Answer = (
    Done
    | Refused
    | PublicKeys
    | TerminalKey
    | ExchangeKey
    | WrappedKey
    | CardAdminKey
    | CardAdminStarted
    | Certificate
    | BlockSignature
    | Status
)


class RequestFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A request; the command is decoded apart, so that a bad one still gets its own answer."""

    request_id: UInt63
    command: msgspec.Raw


class AnswerFrame(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; `request_id` 0 answers a frame that was no request (ids start at 1)."""

    request_id: UInt63
    answer: Answer
