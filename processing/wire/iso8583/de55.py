"""Field 55: BER-TLV (ISO/IEC 8825-1) with what the card proved, and the receipt in the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from processing.wire.iso8583.errors import WireError, shown
from processing.wire.iso8583.spec import FIELDS, Profile
from processing.wire.receipt import PATH_MAX, Receipt, ReceiptError
from processing.wire.transaction import Evidence, SignatureAlgorithm

HEADS_MAX: Final = 64
"""Most pairs of tag and length that are kept ready: a receipt has seventeen lengths."""

NONCE: Final = 0xDF01
SIGNATURE: Final = 0xDF02
KEY_REFERENCE: Final = 0xDF03
ALGORITHM: Final = 0xDF04
REQUEST_DIGEST: Final = 0xDF11
RECEIPT: Final = 0xDF12

KEY_OF_EVIDENCE: Final[dict[Evidence, int]] = {Evidence.TAP: 0x9E, Evidence.PIN: 0x9A}
"""Which PIV key (SP 800-73-5 part 1, table 4b) signs for which evidence."""

_EVIDENCE_OF_KEY: Final = {key: evidence for evidence, key in KEY_OF_EVIDENCE.items()}
_NONCE_HEAD: Final = b"\xdf\x01\x10"
_UNSIGNED_BYTES: Final = 19
_AS_WRITTEN: Final = Struct(">3s16s3s64s3s1s4s")
_EVIDENCE_OF_BYTE: Final = {bytes((key,)): evidence for evidence, key in KEY_OF_EVIDENCE.items()}
_ECDSA: Final = SignatureAlgorithm.ECDSA_P256_SHA256
_NUMBER: Final = 55
# Asking an enum for a member takes as long as three look-ups.
_HEX: Final = Profile.HEX
_ROOM: Final = FIELDS[_NUMBER].room(Profile.BINARY)
_ROOM_HEX: Final = FIELDS[_NUMBER].room(_HEX)
_DIGEST_BYTES: Final = 32
_DIGEST_HEAD: Final = b"\xdf\x11\x20"
_RECEIPT_BYTES: Final = 128
_RECEIPT_MAX_BYTES: Final = _RECEIPT_BYTES + 32 * PATH_MAX
_LONG: Final = 0x80
"""A BER length of this or more says how many bytes of length follow."""


class Object(msgspec.Struct, frozen=True):
    """One data object of field 55: least and greatest length in bytes, and its meaning."""

    least: int
    most: int
    meaning: str


REQUEST_OBJECTS: Final[dict[int, Object]] = {
    NONCE: Object(16, 16, "nonce, new for every request"),
    SIGNATURE: Object(64, 64, "card signature over digest v1: raw r‖s, low-S"),
    KEY_REFERENCE: Object(1, 1, "PIV key that signed: 9E tap, 9A after PIN"),
    ALGORITHM: Object(1, 1, "signature algorithm: 01 ECDSA P-256 with SHA-256"),
}
ANSWER_OBJECTS: Final[dict[int, Object]] = {
    REQUEST_DIGEST: Object(
        _DIGEST_BYTES, _DIGEST_BYTES, "digest v1 of the request that was decided"
    ),
    RECEIPT: Object(_RECEIPT_BYTES, _RECEIPT_MAX_BYTES, "receipt v1"),
}


class Proof(msgspec.Struct, frozen=True):
    """What field 55 of a request says; the defaults are a request that no card signed."""

    nonce: bytes
    signature: bytes = b""
    evidence: Evidence = Evidence.NONE
    algorithm: SignatureAlgorithm = SignatureAlgorithm.NONE


def encode_proof(proof: Proof) -> bytes:
    """Return field 55 of a request (94 bytes, 19 when no card signed)."""
    objects = {NONCE: proof.nonce}
    if proof.evidence is not Evidence.NONE:
        objects[SIGNATURE] = proof.signature
        objects[KEY_REFERENCE] = bytes((KEY_OF_EVIDENCE[proof.evidence],))
        objects[ALGORITHM] = bytes((proof.algorithm,))
    return write_objects(objects, REQUEST_OBJECTS)


def decode_proof(data: bytes) -> Proof:
    """Return what field 55 of a request says; raises `WireError` naming the data object."""
    objects = read_objects(data, REQUEST_OBJECTS)
    if NONCE not in objects:
        raise WireError("55.DF01", 0, REQUEST_OBJECTS[NONCE].meaning, "no such data object")
    if len(objects) == 1:
        return Proof(objects[NONCE])
    for tag in REQUEST_OBJECTS:
        if tag not in objects:
            meaning = REQUEST_OBJECTS[tag].meaning
            raise WireError(f"55.{tag:04X}", 0, meaning, "no such data object")
    reference, algorithm = objects[KEY_REFERENCE][0], objects[ALGORITHM][0]
    evidence = _EVIDENCE_OF_KEY.get(reference)
    if evidence is None:
        raise WireError("55.DF03", 0, "key 9E or 9A", f"{reference:02X}")
    if algorithm != SignatureAlgorithm.ECDSA_P256_SHA256:
        raise WireError("55.DF04", 0, "algorithm 01", f"{algorithm:02X}")
    return Proof(objects[NONCE], objects[SIGNATURE], evidence, SignatureAlgorithm(algorithm))


def usual_proof(data: bytes) -> tuple[bytes, bytes, Evidence, SignatureAlgorithm]:
    """Return the parts of a `Proof` if the objects stand as `encode_proof` writes them.

    Raises ValueError when they do not; `decode_proof` may still read them.
    """
    if len(data) != _AS_WRITTEN.size:
        if len(data) != _UNSIGNED_BYTES or data[:3] != _NONCE_HEAD:
            raise ValueError
        return data[3:], b"", Evidence.NONE, SignatureAlgorithm.NONE
    first, nonce, second, signature, third, reference, last = _AS_WRITTEN.unpack(data)
    if (
        reference not in _EVIDENCE_OF_BYTE
        or first != _NONCE_HEAD
        or second != b"\xdf\x02\x40"
        or third != b"\xdf\x03\x01"
        or last != b"\xdf\x04\x01\x01"
    ):
        raise ValueError
    return nonce, signature, _EVIDENCE_OF_BYTE[reference], _ECDSA


def encode_receipt(request_digest: bytes, receipt: bytes, profile: Profile) -> bytes:
    """Return field 55 of an answer.

    A receipt whose path does not fit the port travels without it (its verification then says
    PATH_MISSING); only paths of more than ten levels on a HEX port are too long.
    """
    room = _ROOM_HEX if profile is _HEX else _ROOM
    size = len(receipt)
    if len(request_digest) == _DIGEST_BYTES and _RECEIPT_BYTES <= size <= _RECEIPT_MAX_BYTES:
        # What `write_objects` makes of a sound receipt, at once.
        data = b"".join((_DIGEST_HEAD, request_digest, _head(RECEIPT, size), receipt))
        if len(data) <= room:
            return data
    objects = {REQUEST_DIGEST: request_digest}
    if receipt:
        objects[RECEIPT] = receipt
    data = write_objects(objects, ANSWER_OBJECTS)
    if len(data) > room:
        objects[RECEIPT] = _without_path(receipt)
        data = write_objects(objects, ANSWER_OBJECTS)
    return data


def decode_receipt(data: bytes) -> tuple[bytes, bytes]:
    """Return request digest and encoded receipt (empty if none) from field 55 of an answer."""
    objects = read_objects(data, ANSWER_OBJECTS)
    if REQUEST_DIGEST not in objects:
        meaning = ANSWER_OBJECTS[REQUEST_DIGEST].meaning
        raise WireError("55.DF11", 0, meaning, "no such data object")
    return objects[REQUEST_DIGEST], objects.get(RECEIPT, b"")


def write_objects(objects: Mapping[int, bytes], known: Mapping[int, Object]) -> bytes:
    """Return the BER-TLV of data objects with two-byte tags.

    Raises `WireError` for a value of the wrong length.
    """
    parts: list[bytes] = []
    for tag, value in objects.items():
        size = len(value)
        if not known[tag].least <= size <= known[tag].most:
            raise _wrong_size(tag, size, known[tag], 0)
        parts += (_head(tag, size), value)
    return b"".join(parts)


def read_objects(data: bytes, known: Mapping[int, Object]) -> dict[int, bytes]:
    """Return the data objects in `data` by tag.

    Raises `WireError` for an unknown or repeated tag, a length of the wrong size, and anything
    that runs past the end. Offsets count from the start of `data`.
    """
    objects: dict[int, bytes] = {}
    offset = 0
    while offset < len(data):
        tag = int.from_bytes(data[offset : offset + 2])
        one = known.get(tag)
        if one is None or len(data) < offset + 2:
            expected = "one of the tags " + " ".join(f"{tag:04X}" for tag in known)
            raise WireError("55", offset, expected, data[offset : offset + 2].hex().upper())
        if tag in objects:
            raise WireError(_name(tag), offset, "each tag once", "the tag again")
        start = offset + 3
        size = data[start - 1] if start <= len(data) else _LONG
        if size >= _LONG:
            size, start = _read_length(data, start - 1, tag)
        if not one.least <= size <= one.most:
            raise _wrong_size(tag, size, one, offset)
        value = data[start : start + size]
        if len(value) != size:
            raise WireError(_name(tag), start, f"{size} bytes", f"{len(value)}: the field ends")
        objects[tag] = value
        offset = start + size
    return objects


def _read_length(data: bytes, offset: int, tag: int) -> tuple[int, int]:
    """Return a long BER length (§8.1.3.5) of one or two bytes, and where the value begins."""
    more = data[offset] - _LONG if offset < len(data) else 0
    following = data[offset + 1 : offset + 1 + more]
    if more not in (1, 2) or len(following) != more:
        found = shown(data[offset : offset + 3])
        raise WireError(_name(tag), offset, "a definite BER length of at most three bytes", found)
    return int.from_bytes(following), offset + 1 + more


def _name(tag: int) -> str:
    return f"55.{tag:04X}"


@lru_cache(maxsize=HEADS_MAX)
def _head(tag: int, size: int) -> bytes:
    """Return tag and length of a data object."""
    if size < _LONG:
        return tag.to_bytes(2) + bytes((size,))
    long = b"\x81" + bytes((size,)) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return tag.to_bytes(2) + long


def _wrong_size(tag: int, size: int, known: Object, offset: int) -> WireError:
    allowed = "" if known.least == known.most else f"{known.least} to "
    return WireError(_name(tag), offset, f"{allowed}{known.most} bytes", str(size))


def _without_path(receipt: bytes) -> bytes:
    try:
        whole = Receipt.decode(receipt)
    except ReceiptError as error:
        raise WireError("55.DF12", 0, "a receipt", str(error)) from error
    return msgspec.structs.replace(whole, path=()).encode()
