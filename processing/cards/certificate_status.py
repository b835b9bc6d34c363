"""What the centre tells of certificates, signed by their issuing CA: revocation lists, OCSP."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from hsm_stub.client.commands import (
    BeginCrl,
    CertificateStatus,
    PublicKeys,
    RevokedSerial,
    SignOcsp,
)
from processing.cards.certificates import (
    CertificateStore,
    Revocation,
    RevocationList,
    RevokedCertificate,
    moment_of,
    serial_bytes,
)
from processing.wire.crl import CrlHead, certificate_list, revoked_entry

CRL_LIFETIME_HOURS: Final = 48
"""From this update of a revocation list to the next that its readers wait for."""
OCSP_LIFETIME_MINUTES: Final = 60
"""How long an OCSP answer may be believed."""
OCSP_KEPT_SECONDS: Final = 60
"""How long an answer without a nonce is given out again, while the certificate stands the same."""
OCSP_ANSWERS_KEPT_MAX: Final = 10_000
"""Most answers kept; then the oldest leaves."""
_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000
_BACKDATE_MS: Final = 60_000
"""Lists and answers begin a minute ago, for readers whose clocks are a little behind."""


class StatusSigner(Protocol):
    """The part of the key service's client that this needs."""

    async def begin_crl(self, command: BeginCrl) -> bytes:
        """Begin a revocation list; the handle that its entries are added to."""

    async def add_to_crl(self, handle: bytes, entries: tuple[RevokedSerial, ...]) -> None:
        """Add the next entries, in the order of their serials."""

    async def finish_crl(self, handle: bytes) -> bytes:
        """Return the signature over the list, DER."""

    async def sign_ocsp(self, command: SignOcsp) -> bytes:
        """Return an OCSPResponse about one certificate, DER."""


class Issuer(msgspec.Struct, frozen=True):
    """An issuing CA: its certificate (DER), its key identifier, and how OCSP questions name it."""

    certificate: bytes
    key_id: bytes
    named: tuple[tuple[bytes, bytes], ...]


class Issuers:
    """The issuing CAs as the key service has them. `ask` reads its public keys."""

    def __init__(self, ask: Callable[[], Awaitable[PublicKeys]]) -> None:
        self._ask = ask
        self._issuers: tuple[Issuer, ...] = ()
        self._by_name: dict[tuple[bytes, bytes], Issuer] = {}

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Return their certificates (DER), the one that issues now first."""
        return tuple(issuer.certificate for issuer in self._issuers)

    def named(self, name: tuple[bytes, bytes]) -> Issuer | None:
        """Return the one that an OCSP question names by the hashes of its name and its key."""
        return self._by_name.get(name)

    def with_key_id(self, text: str) -> Issuer | None:
        """Return the one with this key identifier, in hexadecimal, or the `current` one."""
        if text == "current":
            return self._issuers[0] if self._issuers else None
        return next((one for one in self._issuers if one.key_id.hex() == text), None)

    async def renew(self) -> None:
        """Read them anew; raises the errors of the key service."""
        certificates = (await self._ask()).issuing_certificates
        if certificates != self.certificates:
            self._issuers = tuple(issuer_of(der) for der in certificates)
            self._by_name = {name: issuer for issuer in self._issuers for name in issuer.named}


def issuer_of(certificate: bytes) -> Issuer:
    """Return the CA with this certificate."""
    read = x509.load_der_x509_certificate(certificate)
    key_id = read.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    name = read.subject.public_bytes()
    point = read.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    named = tuple(
        (
            hashlib.new(algorithm, name, usedforsecurity=False).digest(),
            hashlib.new(algorithm, point, usedforsecurity=False).digest(),
        )
        for algorithm in ("sha1", "sha256")
    )
    return Issuer(certificate, key_id, named)


async def issue_revocation_list(
    store: CertificateStore, signer: StatusSigner, issuer: Issuer, now_ms: int
) -> RevocationList:
    """Collect, sign and keep the next revocation list of one issuing CA.

    Raises the errors of the database and of the key service; then the list before stays.
    """
    number = await store.list_number(issuer.key_id) + 1
    head = CrlHead(
        issuer_name=x509.load_der_x509_certificate(issuer.certificate).subject.public_bytes(),
        issuer_key_id=issuer.key_id,
        number=number,
        this_update_ms=now_ms - _BACKDATE_MS,
        next_update_ms=now_ms + CRL_LIFETIME_HOURS * _HOUR_MS,
    )
    # The list's length comes before its entries, so they are collected first.
    revoked = [part async for part in store.revoked(issuer.key_id)]
    entries = [_entry(one) for part in revoked for one in part]
    handle = await signer.begin_crl(
        BeginCrl(
            issuer_key_id=issuer.key_id,
            number=number,
            this_update_ms=head.this_update_ms,
            next_update_ms=head.next_update_ms,
            entries=len(entries),
            entries_bytes=sum(len(entry) for entry in entries),
        )
    )
    for part in revoked:
        await signer.add_to_crl(handle, tuple(_serial(one) for one in part))
    issued = RevocationList(
        issuer_key_id=issuer.key_id,
        number=number,
        this_update=moment_of(head.this_update_ms),
        next_update=moment_of(head.next_update_ms),
        entries=len(entries),
        body=certificate_list(head, entries, await signer.finish_crl(handle)),
    )
    await store.keep_list(issued)
    return issued


class OcspResponder:
    """Answers OCSP questions (RFC 6960) about the cards of these issuing CAs.

    `utc_ms` is the wall clock. An answer is signed anew when the certificate's standing changed,
    and for each question with a nonce.
    """

    def __init__(
        self,
        store: CertificateStore,
        signer: StatusSigner,
        issuers: Issuers,
        utc_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._signer = signer
        self._issuers = issuers
        self._utc_ms = utc_ms
        self._kept: OrderedDict[bytes, tuple[Revocation | bool, int, bytes]] = OrderedDict()

    async def answer(self, question: bytes) -> bytes:
        """Return the answer to a question, both DER; what is no question gets an answer, too.

        Raises the errors of the database and of the key service.
        """
        try:
            request = ocsp.load_der_ocsp_request(question)
            named = (request.issuer_name_hash, request.issuer_key_hash)
            sha256 = isinstance(request.hash_algorithm, hashes.SHA256)
            nonce = _nonce(request)
            serial = request.serial_number
        except (ValueError, NotImplementedError):
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        issuer = self._issuers.named(named)
        if issuer is None or serial <= 0 or serial.bit_length() > 160:
            return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        standing = await self._store.status(issuer.key_id, serial_bytes(serial))
        now_ms = self._utc_ms()
        kept = self._kept.get(question)
        if not nonce and kept is not None:
            before, since_ms, answer = kept
            if before == standing and now_ms - since_ms < OCSP_KEPT_SECONDS * 1000:
                return answer
        answer = await self._signer.sign_ocsp(
            _signing(issuer, serial_bytes(serial), standing, now_ms, sha256=sha256, nonce=nonce)
        )
        if not nonce:
            self._kept[question] = standing, now_ms, answer
            self._kept.move_to_end(question)
            if len(self._kept) > OCSP_ANSWERS_KEPT_MAX:
                self._kept.popitem(last=False)
        return answer


def try_later() -> bytes:
    """Return the answer of a responder whose database or keys are away."""
    return _unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)


def _signing(
    issuer: Issuer,
    serial: bytes,
    standing: Revocation | bool,
    now_ms: int,
    *,
    sha256: bool,
    nonce: bytes,
) -> SignOcsp:
    command = SignOcsp(
        issuer_key_id=issuer.key_id,
        serial=serial,
        status=CertificateStatus.GOOD if standing else CertificateStatus.UNKNOWN,
        this_update_ms=now_ms - _BACKDATE_MS,
        next_update_ms=now_ms + OCSP_LIFETIME_MINUTES * _MINUTE_MS,
        sha256=sha256,
        nonce=nonce,
    )
    if not isinstance(standing, Revocation):
        return command
    return msgspec.structs.replace(
        command,
        status=CertificateStatus.REVOKED,
        revoked_at_ms=standing.revoked_at_ms,
        reason=standing.reason.value,
    )


def _nonce(request: ocsp.OCSPRequest) -> bytes:
    """Return a question's nonce, empty without one; raises ValueError for one over 32 bytes."""
    try:
        nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return b""
    if len(nonce) > 32:
        raise ValueError("RFC 8954 limits a nonce to 32 bytes")
    return nonce


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    response = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return response.public_bytes(serialization.Encoding.DER)


def _entry(one: RevokedCertificate) -> bytes:
    return revoked_entry(one.serial, one.revocation.revoked_at_ms, one.revocation.reason)


def _serial(one: RevokedCertificate) -> RevokedSerial:
    return RevokedSerial(
        serial=one.serial,
        revoked_at_ms=one.revocation.revoked_at_ms,
        reason=one.revocation.reason.value,
    )
