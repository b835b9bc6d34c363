"""The record of a ceremony: who did what when, which keys came of it, signed with the audit key.

Two lines of JSON: the record, and the signature over the first line. It holds no secret: of a share
it names the SHA-256, so that a sheet can be shown to be the one that was handed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from hsm_stub.errors import RecordWrong
from hsm_stub.key_material import KeyMaterial, private_key
from hsm_stub.keyring import SigningKey
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, StatementError, statement_bytes, verify_statement


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed before the ceremony."""

    region: str
    threshold: int
    administrator: str
    custodians: tuple[str, ...]
    witnesses: tuple[str, ...] = ()
    pki_url: str = ""
    dry_run: bool = False


class Happened(msgspec.Struct, frozen=True):
    """One step: UTC milliseconds, who, what."""

    at_ms: int
    who: str
    what: str


class RecordedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that came of the ceremony: its public half or certificate, by hash."""

    key: str
    generation: int
    key_id: str
    certificate_sha256: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A whole record. `shares` are SHA-256 of the sheets' words, in the custodians' order."""

    kind: str
    plan: Plan
    recovery_key_id: str
    shares: tuple[str, ...]
    keys: tuple[RecordedKey, ...]
    happened: tuple[Happened, ...]


class _Seal(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    signature: str


def recorded_keys(material: KeyMaterial) -> tuple[RecordedKey, ...]:
    """Return what a record says of the keys."""
    return tuple(
        RecordedKey(
            key=entry.key,
            generation=entry.generation,
            key_id=entry.key_id.hex(),
            certificate_sha256=(
                hashlib.sha256(entry.certificate).hexdigest() if entry.certificate else ""
            ),
        )
        for entry in material.ring.entries
    )


def signed_record(record: Record, material: KeyMaterial) -> bytes:
    """Return the record's file, signed with the audit key of `material`."""
    line = msgspec.json.encode(record)
    entry = material.ring.active(SigningKey.AUDIT)
    statement = statement_bytes(Domain.KEY_CEREMONY, entry.key_id, hashlib.sha256(line).digest())
    key = private_key(material.secret_of(SigningKey.AUDIT, entry.generation))
    r, s = decode_dss_signature(key.sign(statement, ec.ECDSA(hashes.SHA256())))
    seal = _Seal(key_id=entry.key_id.hex(), signature=(r.to_bytes(32) + s.to_bytes(32)).hex())
    return line + b"\n" + msgspec.json.encode(seal) + b"\n"


def verify_record(path: Path, audit_keys: Sequence[bytes]) -> Record:
    """Return a record that was signed with one of these keys (points); raises `RecordWrong`."""
    try:
        line, _, rest = path.read_bytes().partition(b"\n")
        seal = msgspec.json.decode(rest, type=_Seal)
        key_id = bytes.fromhex(seal.key_id)
        points = {key_id_of(point): point for point in audit_keys}
        signature = bytes.fromhex(seal.signature)
        verify_statement(Domain.KEY_CEREMONY, line, key_id, signature, points[key_id])
        return msgspec.json.decode(line, type=Record)
    except KeyError:
        raise RecordWrong(f"{path} was signed with a key that was not given") from None
    except (OSError, ValueError, StatementError) as error:
        raise RecordWrong(f"{path} is not what was signed: {error}") from None
