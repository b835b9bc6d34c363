"""A small signed document: a CBOR map that the centre's content key signed for one purpose.

Encoded as a CBOR array (RFC 8949, core deterministic encoding) of the map (as a byte string), the
key id (8 bytes) and the signature (64, `processing.wire.statement`, over the map's bytes).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import cbor2

from processing.wire.receipt import key_id_of
from processing.wire.statement import SIGNATURE_BYTES, Domain, StatementError, verify_statement

KEY_ID_BYTES: Final = 8


class MapFault(Enum):
    """Why bytes are no signed map. The list is closed."""

    UNREADABLE = "no signed document, or a damaged one"
    KEY_OTHER = "signed with a key that is not among those known"
    SIGNATURE_WRONG = "the signature is wrong"


class SignedMapError(ValueError):
    """Bytes that prove nothing; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: MapFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


def map_bytes(body: Mapping[int, object]) -> bytes:
    """Return the bytes of a map that are signed: the same map always gives the same."""
    return cbor2.dumps(body, canonical=True)


def seal(document: bytes, key_id: bytes, signature: bytes) -> bytes:
    """Put a map's bytes and their signature together."""
    return cbor2.dumps([document, key_id, signature], canonical=True)


def signer_of(data: bytes) -> bytes:
    """Return the id of the key that a sealed map names; raises `SignedMapError` for no map."""
    match _loaded(data):
        case [bytes(), bytes() as key_id, bytes()]:
            return key_id
        case _:
            raise SignedMapError(MapFault.UNREADABLE)


def open_sealed(data: bytes, domain: Domain, public_keys: Sequence[bytes]) -> Any:
    """Return the map in `data`; raises `SignedMapError` unless one of the keys signed it.

    `public_keys` are uncompressed P-256 points. What the map holds is the caller's to check.
    """
    match _loaded(data):
        case [bytes() as document, bytes() as key_id, bytes() as signature] if (
            len(key_id) == KEY_ID_BYTES and len(signature) == SIGNATURE_BYTES
        ):
            key = next((one for one in public_keys if key_id_of(one) == key_id), None)
        case _:
            raise SignedMapError(MapFault.UNREADABLE)
    if key is None:
        raise SignedMapError(MapFault.KEY_OTHER)
    try:
        verify_statement(domain, document, key_id, signature, key)
    except StatementError:
        raise SignedMapError(MapFault.SIGNATURE_WRONG) from None
    return _loaded(document)


def _loaded(data: bytes) -> Any:
    """Return the one CBOR item that `data` is, to its last byte."""
    stream = io.BytesIO(data)
    try:
        item = cbor2.load(stream)
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        raise SignedMapError(MapFault.UNREADABLE) from None
    if stream.tell() != len(data):
        raise SignedMapError(MapFault.UNREADABLE)
    return item
