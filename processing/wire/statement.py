"""Statements that the key service signs for the centre: one closed list of purposes.

What is signed is never the caller's bytes but `statement_bytes`: domain tag with version (16
bytes, zero-padded), key id (8), SHA-256 of the document (32). So a signature made for one purpose
is worth nothing for another, and the service is no oracle for other bytes.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from processing.wire.receipt import key_id_of

SIGNATURE_BYTES: Final = 64
_STATEMENT: Final = Struct(">16s8s32s")


class Domain(Enum):
    """What a statement is about. Blocks of receipts have a statement of their own."""

    CHECKPOINT = "checkpoint"
    STOP_LIST = "stop-list"
    SOCIAL_PASSPORT = "passport"
    PARAMETER_FILE = "parameters"
    TEXT_CATALOGUE = "texts"
    TEMPORARY_CARD = "qr card"
    REGISTER_MESSAGE = "message"
    CARD_BATCH = "card batch"
    KEY_AUDIT = "key audit"
    KEY_CEREMONY = "ceremony"
    TRUST_LIST = "trust list"
    KEY_SUCCESSION = "next key"


class StatementFault(Enum):
    """Why a signed document proves nothing."""

    KEY_OTHER = "the document was signed with another key than the one given"
    SIGNATURE_WRONG = "the signature is wrong: the document was changed, or is of another kind"


class StatementError(ValueError):
    """A signature that proves nothing; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: StatementFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def statement_bytes(domain: Domain, key_id: bytes, document_sha256: bytes) -> bytes:
    """Return the 56 bytes that are signed (ECDSA P-256 with SHA-256, raw r‖s)."""
    tag = f"spk/{domain.value}\x01".encode("ascii").ljust(16, b"\0")
    return _STATEMENT.pack(tag, key_id, document_sha256)


def verify_statement(
    domain: Domain, document: bytes, key_id: bytes, signature: bytes, public_key: bytes
) -> None:
    """Raise `StatementError` unless `signature` (64 bytes) is that of `public_key` over it.

    `public_key` is an uncompressed P-256 point (65 bytes), which must have the id `key_id`.
    """
    digest = hashlib.sha256(document).digest()
    verify_digest(domain, digest, key_id, signature, public_key)


def verify_digest(
    domain: Domain, document_sha256: bytes, key_id: bytes, signature: bytes, public_key: bytes
) -> None:
    """As `verify_statement`, for a document of which only the SHA-256 is at hand."""
    if key_id != key_id_of(public_key):
        raise StatementError(StatementFault.KEY_OTHER)
    statement = statement_bytes(domain, key_id, document_sha256)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    try:
        if len(signature) != SIGNATURE_BYTES:
            raise InvalidSignature
        r, s = (int.from_bytes(signature[i : i + 32]) for i in (0, 32))
        key.verify(encode_dss_signature(r, s), statement, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise StatementError(StatementFault.SIGNATURE_WRONG) from None
