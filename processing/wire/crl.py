"""Certificate revocation lists (RFC 5280 §5), encoded piece by piece.

A list of a whole region has hundreds of thousands of entries. The key service hashes them as they
come and never holds the list; who collects it puts the same pieces together. So both use this one
encoder. Serials are unsigned big-endian bytes without a leading zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

import msgspec

SERIAL_BYTES_MAX: Final = 20
"""RFC 5280 §4.1.2.2."""

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_OCTET_STRING: Final = 0x04
_ENUMERATED: Final = 0x0A
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_EXPLICIT_0: Final = 0xA0
_KEY_IDENTIFIER: Final = 0x80
_VERSION_2: Final = b"\x02\x01\x01"
_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
_REASON_CODE: Final = bytes.fromhex("0603551d15")
_CRL_NUMBER: Final = bytes.fromhex("0603551d14")
_AUTHORITY_KEY_IDENTIFIER: Final = bytes.fromhex("0603551d23")
_LAST_UTC_TIME_YEAR: Final = 2049


class RevocationReason(IntEnum):
    """CRLReason of RFC 5280 §5.3.1, as far as cards have them."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6


class CrlHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a list says besides its entries. `issuer_name` is the CA's subject, DER."""

    issuer_name: bytes
    issuer_key_id: bytes
    number: int
    this_update_ms: int
    next_update_ms: int


def revoked_entry(serial: bytes, revoked_at_ms: int, reason: RevocationReason) -> bytes:
    """Return one entry. An unspecified reason is left out, as §5.3.1 asks."""
    extensions = b""
    if reason is not RevocationReason.UNSPECIFIED:
        code = _der(_OCTET_STRING, _der(_ENUMERATED, bytes((reason,))))
        extensions = _der(_SEQUENCE, _der(_SEQUENCE, _REASON_CODE + code))
    return _der(_SEQUENCE, _integer(serial) + _time(revoked_at_ms) + extensions)


def around_entries(head: CrlHead, entries_bytes: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the entries in the part that is signed."""
    before = (
        _VERSION_2
        + _ECDSA_WITH_SHA256
        + head.issuer_name
        + _time(head.this_update_ms)
        + _time(head.next_update_ms)
    )
    if entries_bytes:
        before += bytes((_SEQUENCE,)) + _length(entries_bytes)
    key_id = _der(_SEQUENCE, _der(_KEY_IDENTIFIER, head.issuer_key_id))
    number = _integer(head.number.to_bytes(20).lstrip(b"\0") or b"\0")
    extensions = b"".join(
        _der(_SEQUENCE, oid + _der(_OCTET_STRING, value))
        for oid, value in ((_AUTHORITY_KEY_IDENTIFIER, key_id), (_CRL_NUMBER, number))
    )
    after = _der(_EXPLICIT_0, _der(_SEQUENCE, extensions))
    outer = bytes((_SEQUENCE,)) + _length(len(before) + entries_bytes + len(after))
    return outer + before, after


def certificate_list(head: CrlHead, entries: Iterable[bytes], signature_der: bytes) -> bytes:
    """Return the whole list, DER."""
    joined = b"".join(entries)
    before, after = around_entries(head, len(joined))
    signature = _der(_BIT_STRING, b"\0" + signature_der)
    return _der(_SEQUENCE, before + joined + after + _ECDSA_WITH_SHA256 + signature)


def _der(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _length(len(content)) + content


def _length(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((0x80 | len(octets),)) + octets


def _integer(unsigned: bytes) -> bytes:
    """Return an INTEGER; a leading one bit would make it negative."""
    return _der(_INTEGER, b"\0" + unsigned if unsigned[0] & 0x80 else unsigned)


def _time(moment_ms: int) -> bytes:
    """Return a Time: UTCTime up to 2049, then GeneralizedTime (§5.1.2.4)."""
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    if moment.year <= _LAST_UTC_TIME_YEAR:
        return _der(_UTC_TIME, f"{moment:%y%m%d%H%M%SZ}".encode())
    return _der(_GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%SZ}".encode())
