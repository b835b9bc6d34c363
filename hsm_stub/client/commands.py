"""The commands of the key service and their answers: what may be asked of the keys, no more.

Every message is a MessagePack map. A request is `{"request_id": n, "command": {"type": …}}`, its
one answer `{"request_id": n, "answer": {"type": …}}`. Before the first request both sides
greet each other (`hsm_stub.client.handshake`).

No command signs or encrypts bytes of the caller's choice: the service composes what it signs.
Answers that carry a secret hide it from `repr`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from hsm_stub.client.enums import CertificateSlot, CertificateStatus, KeyState, Refusal

# Whoever speaks of a command speaks of its closed lists too, and finds them here.
__all__ = ("CertificateSlot", "CertificateStatus", "KeyState", "Refusal")

TERMINAL_KEY_BYTES: Final = 16
"""AES-128, the key of a terminal's CMAC."""
EXCHANGE_KEY_BYTES: Final = 32
"""AES-256, the key under which a terminal gets its next MAC key."""
CARD_ADMIN_KEY_BYTES: Final = 24
"""AES-192 (PIV algorithm 0A), what cards bought today expect in slot 9B."""
CARD_CHANNEL_KEYS_BYTES: Final = 48
"""Key-ENC, Key-MAC and Key-DEK of SCP03, AES-128 each, for the Java cards that have a channel."""
CRL_ENTRIES_MAX: Final = 2_000_000
"""Most entries of a revocation list."""
CRL_ENTRIES_AT_ONCE_MAX: Final = 500
"""Most entries of one command: half a frame, and a few milliseconds of the service."""
BATCH_CARDS_MAX: Final = 16
"""Most cards of one part of a batch."""
POLICY_CHARS_MAX: Final = 32 * 1024
"""Longest policy."""
CARD_VALIDITY_DAYS_MAX: Final = 3660
"""Longest life of a card certificate: ten years and a week of slack for leap days."""

Byte = Annotated[int, Meta(ge=0, le=255)]
UInt16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
UInt63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes20 = Annotated[bytes, Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Point = Annotated[bytes, Meta(min_length=65, max_length=65)]
TerminalId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{8}\Z")]
Serial = Annotated[bytes, Meta(min_length=1, max_length=20)]
Reason = Literal[0, 1, 3, 4, 5, 6]
CardNumber = Annotated[str, Meta(pattern=r"^[0-9]{19}\Z")]


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

    `terminal_id` has 8 printable ASCII characters; `key_id` is the key's generation, 0 to 255;
    `master` the generation of the terminal master, 0 for the active one.
    """

    terminal_id: TerminalId
    key_id: Byte
    master: Byte = 0


class DeriveExchangeKey(_Command, tag="derive_exchange_key", frozen=True):
    """Export a terminal's exchange key for its parameter file; answered by `ExchangeKey`.

    `exchange_id` is the exchange key's generation, 0 to 255; `master` that of the terminal master,
    0 for the active one.
    """

    terminal_id: TerminalId
    exchange_id: Byte
    master: Byte = 0


class WrapTerminalKey(_Command, tag="wrap_terminal_key", frozen=True):
    """Wrap a terminal's MAC key of generation `key_id` under its exchange key (RFC 3394).

    `master` is the generation of the terminal master that the terminal's keys come from now, and
    `next_master` the one that they shall come from; 0 is the active one. Where the two differ, the
    next exchange key follows the MAC key, so that the terminal moves over with both. Answered by
    `WrappedKey`.
    """

    terminal_id: TerminalId
    key_id: Byte
    exchange_id: Byte
    master: Byte = 0
    next_master: Byte = 0


class DeriveCardAdminKey(_Command, tag="derive_card_admin_key", frozen=True):
    """Export a card's 9B key, because the set-key APDU carries it; answered by `CardAdminKey`.

    `master` is the generation of the card master, 0 for the active one; so in `BeginCardAdmin`.
    With `channel` the keys of the card's secure channel (SCP03) come along.
    """

    card_guid: Bytes16
    version: Byte
    master: Byte = 0
    channel: bool = False


class BeginCardAdmin(_Command, tag="begin_card_admin", frozen=True):
    """Begin 9B mutual authentication (SP 800-73-5 part 2 §3.2.4); answered by `CardAdminStarted`.

    `witness_ciphertext` is the card's encrypted witness.
    """

    card_guid: Bytes16
    version: Byte
    witness_ciphertext: Bytes16
    master: Byte = 0


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


class SlotPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card slot and the uncompressed P-256 point in it."""

    slot: CertificateSlot
    public_key: Point


class IssueCardCertificates(_Command, tag="issue_card_certificates", frozen=True):
    """Issue the certificates of both slots of a card at once; answered by `Certificates`.

    All else is as in `IssueCardCertificate`.
    """

    slots: Annotated[tuple[SlotPoint, ...], Meta(min_length=1, max_length=2)]
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


class SignStatement(_Command, tag="sign_statement", frozen=True):
    """Sign a document by its SHA-256, for one purpose; answered by `StatementSignature`.

    The statement signed is `processing.wire.statement.statement_bytes`; `domain` is the value of
    one of its domains.
    """

    domain: Annotated[str, Meta(max_length=16)]
    document_sha256: Bytes32


class DrawChallenge(_Command, tag="draw_challenge", frozen=True):
    """Draw 32 random bytes from the place that holds the keys; answered by `Challenge`."""


class BeginCrl(_Command, tag="begin_crl", frozen=True):
    """Begin a revocation list (`processing.wire.crl`) of the issuing CA with this key identifier.

    `entries` and `entries_bytes` say how many there will be, and how long they are together.
    Answered by `CrlBegun`.
    """

    issuer_key_id: Bytes20
    number: UInt63
    this_update_ms: UInt63
    next_update_ms: UInt63
    entries: Annotated[int, Meta(ge=0, le=CRL_ENTRIES_MAX)]
    entries_bytes: UInt63


class RevokedSerial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One certificate that was revoked; `reason` is a CRLReason of RFC 5280 §5.3.1."""

    serial: Serial
    revoked_at_ms: UInt63
    reason: Reason


class AddToCrl(_Command, tag="add_to_crl", frozen=True):
    """Add the next entries, in the order of their serials; answered by `Done`."""

    handle: Bytes16
    entries: Annotated[
        tuple[RevokedSerial, ...], Meta(min_length=1, max_length=CRL_ENTRIES_AT_ONCE_MAX)
    ]


class FinishCrl(_Command, tag="finish_crl", frozen=True):
    """Sign the list; answered by `CrlSignature`."""

    handle: Bytes16


class SignOcsp(_Command, tag="sign_ocsp", frozen=True):
    """Say of one certificate how it stands (RFC 6960); answered by `OcspAnswer`.

    `sha256` names the issuer by SHA-256, not SHA-1. `nonce` is the question's, if it had one.
    """

    issuer_key_id: Bytes20
    serial: Serial
    status: CertificateStatus
    this_update_ms: UInt63
    next_update_ms: UInt63
    revoked_at_ms: UInt63 = 0
    reason: Reason = 0
    sha256: bool = False
    nonce: Annotated[bytes, Meta(max_length=32)] = b""


class BatchOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card order of a batch. `valid_to` is an ISO date."""

    order_id: Bytes16
    card_guid: Bytes16
    card_number: CardNumber
    issuer_region: Annotated[int, Meta(ge=0, le=99)]
    valid_to: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")]
    challenge: Bytes32
    not_after_ms: UInt63


class WrapBatch(_Command, tag="wrap_batch", frozen=True):
    """Make one part of a batch (`processing.wire.batch_file`); answered by `WrappedBatch`.

    Each card gets its 9B key, and with `make_keys` its key pairs and certificates, valid from
    `not_before_ms`; encrypted to `station_key` (uncompressed P-256 point) and signed.
    """

    station_key: Point
    batch_id: Bytes16
    part: UInt16
    parts: UInt16
    created_at_ms: UInt63
    admin_version: Byte
    make_keys: bool
    not_before_ms: UInt63
    cards: Annotated[tuple[BatchOrder, ...], Meta(min_length=1, max_length=BATCH_CARDS_MAX)]


class Approve(_Command, tag="approve", frozen=True):
    """Approve what another client asked for (`approval_needed`); answered by `Done`."""

    approval_id: Bytes16


class GetApprovals(_Command, tag="get_approvals", frozen=True):
    """Answered by `Approvals`."""


class InstallPolicy(_Command, tag="install_policy", frozen=True):
    """Put another policy (docs/keys.md) into force at once; answered by `Done`."""

    text: Annotated[str, Meta(max_length=POLICY_CHARS_MAX)]


class ReloadKeys(_Command, tag="reload_keys", frozen=True):
    """Take over the generations that `spk hsm rotate` made or retired; answered by `Done`."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer shares."""


class Done(_Answer, tag="done", frozen=True):
    """The command was carried out and has nothing to return."""


class Refused(_Answer, tag="refused", frozen=True):
    """The command was not carried out; `message` names the field and what to do."""

    code: Refusal
    message: str


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of one key. Master keys have neither id nor point (65 bytes).

    `endorsement` is the signature of the generation before (`processing.wire.trust_list`).
    """

    key: str
    generation: int
    state: KeyState
    key_id: bytes = b""
    point: bytes = b""
    endorsement: bytes = b""


class PublicKeys(_Answer, tag="public_keys", frozen=True):
    """What anybody may know.

    `receipt_key` is an uncompressed P-256 point (65 bytes), `receipt_key_id` the first 8 bytes of
    SHA-256 over its SubjectPublicKeyInfo. `issuing_certificates` are DER, the issuer of new cards
    first, then those whose cards live on. `keys` tells every generation of every key. The first
    `issuing_in_use` CAs still sign revocation lists; the others are retired.
    """

    receipt_key: bytes
    receipt_key_id: bytes
    issuing_certificates: tuple[bytes, ...]
    keys: tuple[PublicKey, ...] = ()
    issuing_in_use: int = 1

    @property
    def issuing_certificates_in_use(self) -> tuple[bytes, ...]:
        """Return the CAs that still speak of their certificates: the active and retiring ones."""
        return self.issuing_certificates[: self.issuing_in_use]

    def active_generation(self, key: str) -> int:
        """Return the active generation of the key called so; raises `KeyError` for another."""
        for one in self.keys:
            if (one.key, one.state) == (key, KeyState.ACTIVE):
                return one.generation
        raise KeyError(key)

    def active_point(self, key: str) -> bytes:
        """Return the public point of the active generation; raises `KeyError` for another key."""
        generation = self.active_generation(key)
        return next(o.point for o in self.keys if (o.key, o.generation) == (key, generation))


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
    """A card's 9B key (24 bytes), and which generation of the card master it is from. Secret.

    `channel` is Key-ENC, Key-MAC and Key-DEK (16 bytes each) where they were asked for.
    """

    key: bytes
    master: int = 1
    channel: bytes = b""

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


class Certificates(_Answer, tag="certificates", frozen=True):
    """X.509 certificates, DER, in the order of the slots asked for."""

    ders: tuple[bytes, ...]


class BlockSignature(_Answer, tag="block_signature", frozen=True):
    """Signature over a block statement: raw r‖s (64 bytes), low-S, and its key's id (8 bytes)."""

    key_id: bytes
    signature: bytes


class StatementSignature(_Answer, tag="statement_signature", frozen=True):
    """Signature over a statement: raw r‖s (64 bytes), low-S, and its key's id (8 bytes)."""

    key_id: bytes
    signature: bytes


class Challenge(_Answer, tag="challenge", frozen=True):
    """Random bytes (32)."""

    challenge: bytes


class CrlBegun(_Answer, tag="crl_begun", frozen=True):
    """What the entries of a revocation list are added to."""

    handle: bytes


class CrlSignature(_Answer, tag="crl_signature", frozen=True):
    """ECDSA-with-SHA256 signature over a revocation list, DER."""

    signature: bytes


class OcspAnswer(_Answer, tag="ocsp_answer", frozen=True):
    """An OCSPResponse (RFC 6960), DER."""

    der: bytes


class WrappedBatch(_Answer, tag="wrapped_batch", frozen=True):
    """One part of a card batch, encrypted and signed."""

    part: bytes


class PendingApproval(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for others: who asked for what, and how many must still approve."""

    approval_id: bytes
    client: str
    command: str
    key: str
    facts: dict[str, str | int]
    approvals_missing: int


class Approvals(_Answer, tag="approvals", frozen=True):
    """All that waits for approval."""

    pending: tuple[PendingApproval, ...]


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """How often a key served one purpose since the service started."""

    key: str
    purpose: str
    uses: int


class Status(_Answer, tag="status", frozen=True):
    """How the service is. `audit_head` is the SHA-256 of the audit's last record."""

    backend: str
    uptime_ms: int
    receipt_key_id: bytes
    region_code: str
    connections: int
    card_authentications_open: int
    key_uses: tuple[KeyUse, ...]
    policy: str = ""
    audit_records: int = 0
    audit_head: bytes = b""


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
    | IssueCardCertificates
    | SignReceiptBlock
    | SignStatement
    | DrawChallenge
    | BeginCrl
    | AddToCrl
    | FinishCrl
    | SignOcsp
    | WrapBatch
    | Approve
    | GetApprovals
    | InstallPolicy
    | ReloadKeys
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
    | Certificates
    | BlockSignature
    | StatementSignature
    | Challenge
    | CrlBegun
    | CrlSignature
    | OcspAnswer
    | WrappedBatch
    | Approvals
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
