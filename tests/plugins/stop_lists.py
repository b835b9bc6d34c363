"""Stop-lists for tests, signed with a key that the test has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from processing.cards.signing import SignDocument
from processing.wire.golomb_set import GolombSet
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, statement_bytes
from processing.wire.stop_list import ListKind, StopList, StopListHead

KEY = ec.derive_private_key(5, ec.SECP256R1())
PUBLIC_KEY = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
SALT = bytes(range(16))
USE_MINUTES = 60


def signature_of(document: bytes, domain: Domain = Domain.STOP_LIST) -> tuple[bytes, bytes]:
    """Return key id and signature, as the key service gives them."""
    key_id = key_id_of(PUBLIC_KEY)
    statement = statement_bytes(domain, key_id, hashlib.sha256(document).digest())
    r, s = decode_dss_signature(KEY.sign(statement, ec.ECDSA(hashes.SHA256())))
    return key_id, r.to_bytes(32) + s.to_bytes(32)


def signer_of(domain: Domain) -> SignDocument:
    """Return what signs documents of a domain, as `processing.cards.signing.signer`."""

    async def sign(document: bytes) -> tuple[bytes, bytes]:
        return signature_of(document, domain)

    return sign


def stop_list(
    stopped: Iterable[bytes],
    let_go: Iterable[bytes] | None = None,
    *,
    number: int = 1,
    base: int | None = None,
    issued_at_ms: int = 0,
) -> StopList:
    """Return an unsigned list; an incremental one when `let_go` is given, to number 1."""
    complete = let_go is None
    return StopList(
        head=StopListHead(
            kind=ListKind.COMPLETE if complete else ListKind.INCREMENTAL,
            region=99,
            number=number,
            base=(number if complete else 1) if base is None else base,
            issued_at_ms=issued_at_ms,
            use_minutes=USE_MINUTES,
        ),
        stopped=GolombSet.of(stopped, SALT),
        let_go=GolombSet.of(let_go or (), SALT),
    )


def signed(one: StopList, domain: Domain = Domain.STOP_LIST) -> bytes:
    """Return the file of a list."""
    return one.encode(*signature_of(one.document, domain))
