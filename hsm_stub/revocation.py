"""What an issuing CA says of its certificates later: revocation lists and OCSP answers.

A list is begun, gets its entries piece by piece, and is signed. The service composes every byte
that it hashes, so nobody can have a certificate signed in the guise of a list.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509 import ocsp

from hsm_stub.backends.backend import Backend
from hsm_stub.backends.signer import BackendSigner
from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.keyring import KeyEntry, SigningKey
from processing.wire.crl import CrlHead, RevocationReason, around_entries, revoked_entry

CRLS_OPEN_MAX: Final = 4
"""Most lists begun and not finished."""
CRL_LIFETIME_MS: Final = 600_000
"""Longest time from a list's begin to its end; what takes longer was abandoned."""
UPDATE_DAYS_MAX: Final = 35
"""Longest time between this update and the next."""
_DAY_MS: Final = 86_400_000
_REASONS: Final = {
    RevocationReason.UNSPECIFIED: x509.ReasonFlags.unspecified,
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
}


class _OpenCrl(msgspec.Struct):
    """A list under way: what was hashed, what is still to come."""

    issuer: KeyEntry
    digest: hashlib._Hash
    after: bytes
    entries_left: int
    bytes_left: int
    last_serial: bytes
    expires_ms: int


class Revocations:
    """Lists begun and not finished. `monotonic_ms` is a clock that never goes back."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._monotonic_ms = monotonic_ms
        self._open: dict[bytes, _OpenCrl] = {}

    def begin(self, command: c.BeginCrl, issuer: KeyEntry) -> c.CrlBegun:
        """Begin a list of `issuer`; raises `CommandRefused`."""
        _check_updates(command.this_update_ms, command.next_update_ms)
        self._drop_expired()
        if len(self._open) >= CRLS_OPEN_MAX:
            raise CommandRefused(
                c.Refusal.BUSY, f"{CRLS_OPEN_MAX} revocation lists are under way; try later"
            )
        if bool(command.entries) != bool(command.entries_bytes):
            raise CommandRefused(
                c.Refusal.BAD_ARGUMENT, "entries and entries_bytes must both be 0, or neither"
            )
        certificate = issuer.issuer()
        head = CrlHead(
            issuer_name=certificate.subject.public_bytes(),
            issuer_key_id=command.issuer_key_id,
            number=command.number,
            this_update_ms=command.this_update_ms,
            next_update_ms=command.next_update_ms,
        )
        before, after = around_entries(head, command.entries_bytes)
        handle = os.urandom(16)
        self._open[handle] = _OpenCrl(
            issuer=issuer,
            digest=hashlib.sha256(before),
            after=after,
            entries_left=command.entries,
            bytes_left=command.entries_bytes,
            last_serial=b"",
            expires_ms=self._monotonic_ms() + CRL_LIFETIME_MS,
        )
        return c.CrlBegun(handle=handle)

    def add(self, command: c.AddToCrl) -> c.Done:
        """Take the next entries, in the order of their serials; raises `CommandRefused`."""
        under_way = self._under_way(command.handle)
        for entry in command.entries:
            serial = entry.serial
            rising = (len(serial), serial) > (len(under_way.last_serial), under_way.last_serial)
            if serial[0] == 0 or not rising:
                del self._open[command.handle]
                raise CommandRefused(
                    c.Refusal.BAD_ARGUMENT,
                    "serials must rise, each once and without a leading zero; begin the list again",
                )
            encoded = revoked_entry(serial, entry.revoked_at_ms, RevocationReason(entry.reason))
            under_way.digest.update(encoded)
            under_way.entries_left -= 1
            under_way.bytes_left -= len(encoded)
            under_way.last_serial = serial
        return c.Done()

    def finish(self, command: c.FinishCrl, backend: Backend) -> c.CrlSignature:
        """Sign the list; raises `CommandRefused` when it is not as it was announced."""
        under_way = self._under_way(command.handle)
        del self._open[command.handle]
        if under_way.entries_left or under_way.bytes_left:
            raise CommandRefused(
                c.Refusal.BAD_ARGUMENT,
                f"{under_way.entries_left} entries and {under_way.bytes_left} bytes are missing "
                "from what was announced; begin the list again",
            )
        under_way.digest.update(under_way.after)
        raw = backend.sign_digest(
            SigningKey.ISSUING_CA, under_way.issuer.generation, under_way.digest.digest()
        )
        r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
        return c.CrlSignature(signature=encode_dss_signature(r, s))

    def _under_way(self, handle: bytes) -> _OpenCrl:
        self._drop_expired()
        found = self._open.get(handle)
        if found is None:
            raise CommandRefused(
                c.Refusal.HANDLE_UNKNOWN,
                "this revocation list was never begun, has expired or was finished; begin another",
            )
        return found

    def _drop_expired(self) -> None:
        now_ms = self._monotonic_ms()
        for handle in [one for one, kept in self._open.items() if kept.expires_ms <= now_ms]:
            del self._open[handle]


def ocsp_answer(command: c.SignOcsp, issuer: KeyEntry, backend: Backend) -> c.OcspAnswer:
    """Return the signed answer (RFC 6960) about one serial; raises `CommandRefused`."""
    _check_updates(command.this_update_ms, command.next_update_ms)
    certificate = issuer.issuer()
    algorithm = hashes.SHA256() if command.sha256 else hashes.SHA1()  # noqa: S303
    digest = hashlib.sha256 if command.sha256 else _sha1
    revoked = command.status is c.CertificateStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=digest(certificate.subject.public_bytes()).digest(),
            issuer_key_hash=digest(issuer.public_point).digest(),
            serial_number=int.from_bytes(command.serial),
            algorithm=algorithm,
            cert_status=_STATUS[command.status],
            this_update=_moment(command.this_update_ms),
            next_update=_moment(command.next_update_ms),
            revocation_time=_moment(command.revoked_at_ms) if revoked else None,
            revocation_reason=_REASONS[RevocationReason(command.reason)] if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
    )
    if command.nonce:
        builder = builder.add_extension(x509.OCSPNonce(command.nonce), critical=False)
    response = builder.sign(BackendSigner(backend, issuer), hashes.SHA256())
    return c.OcspAnswer(der=response.public_bytes(serialization.Encoding.DER))


_STATUS: Final = {
    c.CertificateStatus.GOOD: ocsp.OCSPCertStatus.GOOD,
    c.CertificateStatus.REVOKED: ocsp.OCSPCertStatus.REVOKED,
    c.CertificateStatus.UNKNOWN: ocsp.OCSPCertStatus.UNKNOWN,
}


def _sha1(data: bytes) -> hashlib._Hash:
    """Return SHA-1, by which RFC 6960 clients name an issuer: an index, not a proof."""
    return hashlib.sha1(data, usedforsecurity=False)


def _check_updates(this_update_ms: int, next_update_ms: int) -> None:
    if not 0 < next_update_ms - this_update_ms <= UPDATE_DAYS_MAX * _DAY_MS:
        raise CommandRefused(
            c.Refusal.BAD_ARGUMENT,
            f"next_update_ms must lie after this_update_ms, by at most {UPDATE_DAYS_MAX} days",
        )


def _moment(moment_ms: int) -> datetime:
    return datetime.fromtimestamp(moment_ms // 1000, UTC)
