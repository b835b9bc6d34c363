"""Receipt v1: the centre's signed proof of one decision, checked with its public key alone.

The centre signs one statement per block of decisions; a receipt adds the path from its own
decision to the block's root. The leaf is the RFC 9162 leaf hash of `decision_bytes`.

Encoded receipt, integers big-endian: version 1 (1 byte), key id (8), lane (2), block (8),
ordinal (2), leaf count (2), signed at in UTC milliseconds (8), root (32), signature raw r‖s (64),
path length (1), path (32 each). 128 bytes without a path.

A receipt without its path (the hex-text port has no room for it) still proves that the block was
signed; `ReceiptFault.PATH_MISSING` then says that the path must be asked for.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from struct import Struct
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from processing.wire.merkle import Levels, joined_paths, leaf_hash, root_from_path
from processing.wire.transaction import DecidedLine, Decision

VERSION: Final = 1
PATH_MAX: Final = 16
"""Most levels of a path: a block holds at most 65 536 decisions."""

_DECISION_TAG: Final = b"spk/decision\x01".ljust(16, b"\0")
_BLOCK_TAG: Final = b"spk/block\x01".ljust(16, b"\0")
_DECISION: Final = Struct(">16s32sH6sIQHQHB")
_DECIDED_LINE: Final = Struct(">QQ")
_BLOCK: Final = Struct(">16s8sHQHQ32s")
_HEAD: Final = Struct(">B8sHQHHQ32s64sB")
_HEAD_BEFORE: Final = Struct(">B8sHQ")
_HEAD_AFTER: Final = Struct(">HQ32s64s")
_NODE_BYTES: Final = 32


class ReceiptFault(Enum):
    """Why a receipt does not prove a decision."""

    UNREADABLE = "the receipt is damaged or of an unknown version"
    OTHER_PLACE = "the receipt names another place in the journal than the decision"
    PATH_MISSING = "the receipt has no path from the decision to the block's root"
    PATH_WRONG = "the decision is not in the block that the receipt names"
    KEY_OTHER = "the receipt was signed with another key than the one given"
    SIGNATURE_WRONG = "the block's signature is wrong"


class ReceiptError(ValueError):
    """A receipt that proves nothing; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: ReceiptFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded receipt (see the module for the layout)."""

    key_id: bytes
    lane: int
    block: int
    ordinal: int
    leaf_count: int
    signed_at_ms: int
    root: bytes
    signature: bytes
    path: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the receipt's bytes."""
        head = _HEAD.pack(
            VERSION,
            self.key_id,
            self.lane,
            self.block,
            self.ordinal,
            self.leaf_count,
            self.signed_at_ms,
            self.root,
            self.signature,
            len(self.path),
        )
        return head + b"".join(self.path)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the receipt in `data`; raises `ReceiptError` when it is not exactly one."""
        if len(data) < _HEAD.size:
            raise ReceiptError(ReceiptFault.UNREADABLE)
        version, *fields, levels = _HEAD.unpack_from(data)
        rest = data[_HEAD.size :]
        if version != VERSION or levels > PATH_MAX or len(rest) != 32 * levels:
            raise ReceiptError(ReceiptFault.UNREADABLE)
        path = tuple(rest[i : i + 32] for i in range(0, len(rest), 32))
        names = cls.__struct_fields__[:-1]
        return cls(**dict(zip(names, fields, strict=True)), path=path)

    def verify(self, decision: Decision, *public_keys: bytes) -> None:
        """Raise `ReceiptError` unless this receipt proves `decision`.

        `public_keys` are the centre's receipt keys of all times, uncompressed P-256 points (65
        bytes).
        """
        place = (decision.lane, decision.block, decision.ordinal)
        if place != (self.lane, self.block, self.ordinal):
            raise ReceiptError(ReceiptFault.OTHER_PLACE)
        point = next((one for one in public_keys if key_id_of(one) == self.key_id), None)
        if point is None:
            raise ReceiptError(ReceiptFault.KEY_OTHER)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        if self.leaf_count > 1 and not self.path:
            raise ReceiptError(ReceiptFault.PATH_MISSING)
        leaf = leaf_hash(decision_bytes(decision))
        if root_from_path(leaf, self.ordinal, self.leaf_count, self.path) != self.root:
            raise ReceiptError(ReceiptFault.PATH_WRONG)
        statement = block_statement(
            self.key_id, self.lane, self.block, self.leaf_count, self.signed_at_ms, self.root
        )
        r, s = (int.from_bytes(self.signature[i : i + 32]) for i in (0, 32))
        try:
            key.verify(encode_dss_signature(r, s), statement, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise ReceiptError(ReceiptFault.SIGNATURE_WRONG) from None


def decision_bytes(decision: Decision) -> bytes:
    """Return the journal entry that a receipt proves.

    Domain tag `spk/decision`, version 1 (16 bytes), request digest (32), outcome (2), approval
    code (6, zero bytes when there is none), posting date yyyymmdd (4), decided at in UTC
    milliseconds (8), lane (2), block (8), ordinal (2), number of lines (1), then covered and paid
    kopecks of each line (8 and 8).
    """
    day = decision.posting_date
    head = _DECISION.pack(
        _DECISION_TAG,
        decision.request_digest,
        decision.outcome,
        decision.approval_code.encode("ascii"),
        day.year * 10_000 + day.month * 100 + day.day,
        decision.decided_at_ms,
        decision.lane,
        decision.block,
        decision.ordinal,
        len(decision.lines),
    )
    return head + b"".join(_line_bytes(line) for line in decision.lines)


def encoded_receipts(
    key_id: bytes, lane: int, block: int, signed_at_ms: int, signature: bytes, tree: Levels
) -> list[bytes]:
    """Return the receipts of a whole block, encoded, in the order of their decisions.

    The same bytes as `Receipt.encode` gives for each, made of what all have in common. `tree` are
    the levels of the block's Merkle tree (`processing.wire.merkle.tree_levels`).
    """
    count, root = len(tree[0]), tree[-1][0]
    head = _HEAD_BEFORE.pack(VERSION, key_id, lane, block)
    rest = _HEAD_AFTER.pack(count, signed_at_ms, root, signature)
    return [
        b"%b%b%b%c%b" % (head, ordinal.to_bytes(2), rest, len(path) // _NODE_BYTES, path)
        for ordinal, path in enumerate(joined_paths(tree))
    ]


def block_statement(
    key_id: bytes, lane: int, block: int, leaf_count: int, signed_at_ms: int, root: bytes
) -> bytes:
    """Return the bytes that the HSM signs once per block (ECDSA P-256 with SHA-256)."""
    return _BLOCK.pack(_BLOCK_TAG, key_id, lane, block, leaf_count, signed_at_ms, root)


_SPKI_P256: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")


def key_id_of(public_key: bytes) -> bytes:
    """Return a P-256 key's id: the first 8 bytes of SHA-256 over its SubjectPublicKeyInfo.

    `public_key` is the uncompressed point (65 bytes); RFC 5480 gives the 26 bytes before it.
    """
    return hashlib.sha256(_SPKI_P256 + public_key).digest()[:8]


def _line_bytes(line: DecidedLine) -> bytes:
    return _DECIDED_LINE.pack(line.covered_kopecks, line.paid_kopecks)
