"""X.509 certificates of cards and of the issuing CA (RFC 5280).

A card certificate names the card alone: its number (CN), its GUID (serialNumber and, as
`urn:uuid:`, subjectAltName). Nothing in it tells who carries the card.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

from hsm_stub.certificate_template import (
    CardFacts,
    CertificateTemplate,
    draw_serial,
    signed_certificate,
)
from hsm_stub.client.commands import (
    CARD_VALIDITY_DAYS_MAX,
    CertificateSlot,
    IssueCardCertificate,
    Refusal,
)
from hsm_stub.errors import CommandRefused

PIV_CARD_AUTH: Final = ObjectIdentifier("2.16.840.1.101.3.6.8")
"""id-PIV-cardAuth, the purpose of slot 9E (FIPS 201-3)."""
CERTIFICATE_BYTES_MAX: Final = 1024
POINT_BYTES: Final = 65
CA_NAME: Final = "spk issuing CA"
CA_VALIDITY_DAYS: Final = 7305
CA_BACKDATE_DAYS: Final = 1
"""Stations whose clock is behind the service's still issue inside the CA's own validity."""
CARD_NUMBER_PREFIX: Final = "964390"

_PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def ca_certificate(
    key: ec.EllipticCurvePrivateKey, region_code: str, now_ms: int, generation: int = 1
) -> bytes:
    """Return the self-signed P-256 certificate of an issuing CA, DER.

    `key` may sign inside a token. From its second generation on the name tells it.
    """
    common_name = CA_NAME if generation == 1 else f"{CA_NAME} {generation}"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "RU"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, region_code),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    start = _moment(now_ms) - timedelta(days=CA_BACKDATE_DAYS)
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=CA_VALIDITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(subject_key, critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class CardCertificates:
    """Makes card certificates under one issuer.

    `issuer_key` may be an object that signs inside a token: only its `sign` is used. `pki_url` is
    where the centre answers for its certificates, such as `http://pki.example/pki`; with it the
    certificate says where to ask.
    """

    def __init__(
        self, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, pki_url: str = ""
    ) -> None:
        self._issuer = issuer
        self._issuer_key = issuer_key
        self._pki_url = pki_url
        self._templates: dict[CertificateSlot, CertificateTemplate] = {}

    def issue(self, command: IssueCardCertificate) -> bytes:
        """Return the certificate asked for, DER; raises `CommandRefused` naming the wrong field."""
        _require_point(command.public_key)
        _check_card_number(command.card_number)
        start, end = _validity(command, self._issuer)
        facts = CardFacts(
            serial=draw_serial(),
            point=command.public_key,
            card_number=command.card_number,
            card_guid=command.card_guid,
            start=start,
            end=end,
        )
        if facts.fits:
            template = self._templates.get(command.slot)
            if template is None:
                # The issuing key signs no invented card: a key of the moment does.
                passing = ec.generate_private_key(ec.SECP256R1())
                template = CertificateTemplate(
                    lambda known: self._build(command.slot, known, passing)
                )
                self._templates[command.slot] = template
            der = signed_certificate(template.body(facts), self._issuer_key)
        else:
            built = self._build(command.slot, facts, self._issuer_key)
            der = built.public_bytes(serialization.Encoding.DER)
        if len(der) > CERTIFICATE_BYTES_MAX:
            raise CommandRefused(
                Refusal.FAULT,
                f"the certificate has {len(der)} bytes, over the {CERTIFICATE_BYTES_MAX} that "
                "a card holds",
            )
        return der

    def _build(
        self, slot: CertificateSlot, facts: CardFacts, key: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        """Have the library build a certificate, signed with this key."""
        card_uuid = UUID(bytes=facts.card_guid)
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), facts.point)
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, facts.card_number),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, str(card_uuid)),
            ]
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            self._issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        uri = x509.UniformResourceIdentifier(f"urn:uuid:{card_uuid}")
        subject_key = x509.SubjectKeyIdentifier.from_public_key(public_key)
        usage, usage_is_critical = _purpose(slot)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._issuer.subject)
            .public_key(public_key)
            .serial_number(int.from_bytes(facts.serial))
            .not_valid_before(facts.start)
            .not_valid_after(facts.end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=usage_is_critical)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(subject_key, critical=False)
        )
        if self._pki_url:
            builder = _with_addresses(builder, authority, self._pki_url)
        return builder.sign(key, hashes.SHA256())


def _with_addresses(
    builder: x509.CertificateBuilder, authority: x509.AuthorityKeyIdentifier, pki_url: str
) -> x509.CertificateBuilder:
    """Return the certificate with the addresses of its revocation list and of OCSP."""
    key_id = (authority.key_identifier or b"").hex()
    crl = x509.UniformResourceIdentifier(f"{pki_url}/crl/{key_id}.crl")
    ocsp = x509.UniformResourceIdentifier(f"{pki_url}/ocsp")
    point = x509.DistributionPoint([crl], relative_name=None, reasons=None, crl_issuer=None)
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, ocsp)
    return builder.add_extension(x509.CRLDistributionPoints([point]), critical=False).add_extension(
        x509.AuthorityInformationAccess([access]), critical=False
    )


def luhn_is_right(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit (ISO/IEC 7812-1 annex B)."""
    doubled = (int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _purpose(slot: CertificateSlot) -> tuple[ObjectIdentifier, bool]:
    """Return the extended key usage of `slot`, and whether it is critical (FIPS 201: for 9E)."""
    match slot:
        case CertificateSlot.AUTHENTICATION:
            return ExtendedKeyUsageOID.CLIENT_AUTH, False
        case CertificateSlot.CARD_AUTHENTICATION:
            return PIV_CARD_AUTH, True


def _require_point(point: bytes) -> None:
    """Refuse what is no point of P-256: y² = x³ - 3x + b modulo the field's prime (SP 800-186).

    The curve's order is prime, so every point on it will do. The library finds that out by a
    multiplication, which takes as long as signing.
    """
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    on_curve = x < _PRIME and y < _PRIME and (y * y - x * x * x + 3 * x - _B) % _PRIME == 0
    if len(point) != POINT_BYTES or point[0] != 0x04 or not on_curve:
        raise CommandRefused(
            Refusal.BAD_ARGUMENT,
            "public_key is no point of P-256; give 65 bytes: 04, x, y",
        )


def _check_card_number(card_number: str) -> None:
    if not card_number.startswith(CARD_NUMBER_PREFIX) or not luhn_is_right(card_number):
        raise CommandRefused(
            Refusal.BAD_ARGUMENT,
            f"card_number is no card number: {CARD_NUMBER_PREFIX}, 2 region digits, 10 digits and "
            "a right Luhn digit are expected",
        )


def _validity(command: IssueCardCertificate, issuer: x509.Certificate) -> tuple[datetime, datetime]:
    try:
        start, end = _moment(command.not_before_ms), _moment(command.not_after_ms)
    except (OverflowError, ValueError, OSError):
        raise CommandRefused(
            Refusal.BAD_ARGUMENT, "not_before_ms or not_after_ms lies beyond the year 9999"
        ) from None
    if end <= start or end - start > timedelta(days=CARD_VALIDITY_DAYS_MAX):
        raise CommandRefused(
            Refusal.BAD_ARGUMENT,
            f"not_after_ms must lie after not_before_ms, by at most {CARD_VALIDITY_DAYS_MAX} days",
        )
    first, last = issuer.not_valid_before_utc, issuer.not_valid_after_utc
    if start < first or end > last:
        raise CommandRefused(
            Refusal.BAD_ARGUMENT,
            f"the validity must lie inside the issuing CA's own, {first:%Y-%m-%d %H:%M:%S} to "
            f"{last:%Y-%m-%d %H:%M:%S} UTC",
        )
    return start, end


def _moment(moment_ms: int) -> datetime:
    return datetime.fromtimestamp(moment_ms // 1000, UTC)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return what the key may do: a CA signs certificates, CRLs and OCSP answers, a card signs."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
