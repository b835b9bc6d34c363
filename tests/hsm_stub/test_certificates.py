"""Card certificates: what is in them, who verifies them, what is refused."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.certificate_template import (
    SERIAL_BYTES,
    CardFacts,
    CertificateTemplate,
    draw_serial,
    signed_certificate,
)
from hsm_stub.certificates import (
    CERTIFICATE_BYTES_MAX,
    PIV_CARD_AUTH,
    CardCertificates,
    ca_certificate,
    luhn_is_right,
)
from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import new_key_material
from hsm_stub.security_module import SecurityModule
from tests.hsm_stub.examples import CARD_NUMBER, DAY_MS, GUID, certificate_command
from tests.hsm_stub.running import NOW_MS

SLOTS = [
    (c.CertificateSlot.AUTHENTICATION, ExtendedKeyUsageOID.CLIENT_AUTH, False),
    (c.CertificateSlot.CARD_AUTHENTICATION, PIV_CARD_AUTH, True),
]

_KEY = ec.derive_private_key(0xCA, ec.SECP256R1())
AUTHORITY = (x509.load_der_x509_certificate(ca_certificate(_KEY, "77", NOW_MS)), _KEY)


def issue(module: SecurityModule, command: c.IssueCardCertificate) -> x509.Certificate:
    answer = module.execute(command)
    assert isinstance(answer, c.Certificate)
    assert len(answer.der) <= CERTIFICATE_BYTES_MAX
    return x509.load_der_x509_certificate(answer.der)


def issuer(module: SecurityModule) -> x509.Certificate:
    answer = module.execute(c.GetPublicKeys())
    assert isinstance(answer, c.PublicKeys)
    return x509.load_der_x509_certificate(answer.issuing_certificates[0])


@settings(deadline=None, max_examples=25)
@given(
    serial=st.integers(0, 2**158 - 1),
    scalar=st.integers(1, 2**255),
    digits=st.integers(0, 10**13 - 1),
    guid=st.binary(min_size=16, max_size=16),
    days=st.tuples(st.integers(0, 5_000), st.integers(1, 3_650)),
    pki_url=st.sampled_from(["", "http://pki.example/pki"]),
    slot=st.sampled_from(list(c.CertificateSlot)),
)
def test_a_filled_in_certificate_is_that_of_the_library(
    serial: int,
    scalar: int,
    digits: int,
    guid: bytes,
    days: tuple[int, int],
    pki_url: str,
    slot: c.CertificateSlot,
) -> None:
    issuing = CardCertificates(*AUTHORITY, pki_url)
    point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days[0])
    facts = CardFacts(
        serial=((0x40 << 152) | serial % 2**158).to_bytes(20),
        point=point.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        ),
        card_number=f"964390{digits:013d}",
        card_guid=guid,
        start=start,
        end=start + timedelta(days=days[1]),
    )
    assume(facts.fits)
    template = CertificateTemplate(lambda known: issuing._build(slot, known, AUTHORITY[1]))
    built = issuing._build(slot, facts, AUTHORITY[1])
    assert template.body(facts) == built.tbs_certificate_bytes
    filled = x509.load_der_x509_certificate(signed_certificate(template.body(facts), AUTHORITY[1]))
    filled.verify_directly_issued_by(AUTHORITY[0])
    assert filled.signature_algorithm_oid == built.signature_algorithm_oid


def test_serials_are_positive_and_of_one_length() -> None:
    serials = {draw_serial() for _ in range(300)}
    assert len(serials) == 300
    assert {len(serial) for serial in serials} == {SERIAL_BYTES}
    assert all(0x40 <= serial[0] <= 0x7F for serial in serials)


def test_both_certificates_of_a_card_at_once_are_those_of_two_commands(
    module: SecurityModule,
) -> None:
    slots = (c.CertificateSlot.CARD_AUTHENTICATION, c.CertificateSlot.AUTHENTICATION)
    ones = [certificate_command(slot) for slot in slots]
    answer = module.execute(
        c.IssueCardCertificates(
            slots=tuple(c.SlotPoint(slot=o.slot, public_key=o.public_key) for o in ones),
            card_guid=GUID,
            card_number=CARD_NUMBER,
            not_before_ms=ones[0].not_before_ms,
            not_after_ms=ones[0].not_after_ms,
        )
    )
    assert isinstance(answer, c.Certificates)
    for one, der in zip(ones, answer.ders, strict=True):
        certificate, alone = x509.load_der_x509_certificate(der), issue(module, one)
        certificate.verify_directly_issued_by(issuer(module))
        assert certificate.public_key() == alone.public_key()
        assert [e.oid for e in certificate.extensions] == [e.oid for e in alone.extensions]
        assert certificate.subject == alone.subject


@pytest.mark.parametrize(("slot", "purpose", "critical"), SLOTS)
def test_content(
    module: SecurityModule, slot: c.CertificateSlot, purpose: x509.ObjectIdentifier, critical: bool
) -> None:
    command = certificate_command(slot)
    certificate = issue(module, command)
    found = certificate.extensions

    subject = [(name.oid, name.value) for name in certificate.subject]
    assert subject == [
        (NameOID.COMMON_NAME, CARD_NUMBER),
        (NameOID.SERIAL_NUMBER, "01234567-89ab-cdef-0123-456789abcdef"),
    ]
    point = certificate.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert point == command.public_key
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW_MS // 1000, UTC)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(1826)
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    extended = found.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (list(extended.value), extended.critical) == ([purpose], critical)
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["urn:uuid:01234567-89ab-cdef-0123-456789abcdef"]
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    authority = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    above = issuer(module).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert authority.key_identifier == above.digest


def test_signed_by_the_issuing_ca(module: SecurityModule) -> None:
    certificate = issue(module, certificate_command(c.CertificateSlot.CARD_AUTHENTICATION))
    certificate.verify_directly_issued_by(issuer(module))


def test_region_stands_in_the_issuer(module: SecurityModule) -> None:
    assert issuer(module).subject.rfc4514_string() == "CN=spk issuing CA,ST=77,C=RU"


def test_serials_differ_and_fit_20_bytes(module: SecurityModule) -> None:
    command = certificate_command(c.CertificateSlot.AUTHENTICATION)
    serials = {issue(module, command).serial_number for _ in range(8)}
    assert len(serials) == 8
    assert all(0 < serial < 2**159 for serial in serials)


@pytest.mark.parametrize("slot", list(c.CertificateSlot))
def test_openssl_verifies(module: SecurityModule, slot: c.CertificateSlot, tmp_path: Path) -> None:
    for name, certificate in (
        ("ca.pem", issuer(module)),
        ("card.pem", issue(module, certificate_command(slot))),
    ):
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (tmp_path / name).write_bytes(pem)
    moment = str(NOW_MS // 1000 + 60)
    arguments = ["-x509_strict", "-attime", moment, "-CAfile", "ca.pem", "card.pem"]
    checked = subprocess.run(
        ["openssl", "verify", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "card.pem: OK\n"), checked.stderr


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"public_key": b"\x04" + bytes(64)}, "public_key is no point"),
    ({"public_key": b"\x02" + bytes(64)}, "public_key is no point"),
    ({"card_number": "9643907700000000018"}, "card_number is no card number"),
    ({"card_number": "4643907700000000010"}, "card_number is no card number"),
    ({"not_after_ms": NOW_MS}, "must lie after not_before_ms"),
    ({"not_after_ms": NOW_MS + 3661 * DAY_MS}, "by at most 3660 days"),
    ({"not_before_ms": NOW_MS - 3 * DAY_MS}, "inside the issuing CA's own, 2026-"),
    (
        {"not_before_ms": NOW_MS + 7000 * DAY_MS, "not_after_ms": NOW_MS + 7305 * DAY_MS},
        "inside the issuing CA's own",
    ),
    ({"not_after_ms": 2**63 - 1}, "beyond the year 9999"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_refused(module: SecurityModule, changes: dict[str, object], message: str) -> None:
    command = certificate_command(c.CertificateSlot.AUTHENTICATION, **changes)
    with pytest.raises(CommandRefused, match=message) as caught:
        module.execute(command)
    assert caught.value.code is c.Refusal.BAD_ARGUMENT


@pytest.mark.parametrize(
    ("digits", "right"),
    [("0", True), ("18", True), ("79927398713", True), ("79927398710", False), ("9643", False)],
)
def test_luhn(digits: str, right: bool) -> None:
    assert luhn_is_right(digits) is right


def test_where_to_ask_stands_in_the_certificate(tmp_path: Path) -> None:
    material = new_key_material("77", NOW_MS, "http://pki.region77.example/pki")
    module = SecurityModule(SoftwareBackend(material), lambda: 0)
    certificate = issue(module, certificate_command(c.CertificateSlot.CARD_AUTHENTICATION))
    der = certificate.public_bytes(serialization.Encoding.DER)
    path = tmp_path / "card.der"
    path.write_bytes(der)
    shown = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (key_id,) = re.findall(r"URI:http://pki.region77.example/pki/crl/([0-9a-f]{40}).crl", shown)
    assert key_id == issuer_key_id(certificate)
    assert "http://pki.region77.example/pki/ocsp" in shown
    assert len(der) <= CERTIFICATE_BYTES_MAX


def issuer_key_id(certificate: x509.Certificate) -> str:
    found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found.key_identifier is not None
    return found.key_identifier.hex()
