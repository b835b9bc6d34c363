"""Our encoder of revocation lists against `cryptography`'s, and its edges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.wire.crl import CrlHead, RevocationReason, certificate_list, revoked_entry

KEY = ec.derive_private_key(0x5EED, ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spk issuing CA")])
KEY_ID = bytes(range(20))
FLAGS = {
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
}
Entry = tuple[int, int, RevocationReason]
Y2049_MS, Y2050_MS = 2_524_607_999_000, 2_524_608_000_000


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def their_list(number: int, this_ms: int, next_ms: int, entries: list[Entry]) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(NAME)
        .last_update(moment(this_ms))
        .next_update(moment(next_ms))
        .add_extension(x509.AuthorityKeyIdentifier(KEY_ID, None, None), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, at_ms, reason in entries:
        entry = (
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment(at_ms))
        )
        if reason in FLAGS:
            entry = entry.add_extension(x509.CRLReason(FLAGS[reason]), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def assert_same_as_theirs(number: int, this_ms: int, next_ms: int, entries: list[Entry]) -> None:
    theirs = x509.load_der_x509_crl(their_list(number, this_ms, next_ms, entries))
    head = CrlHead(
        issuer_name=NAME.public_bytes(),
        issuer_key_id=KEY_ID,
        number=number,
        this_update_ms=this_ms,
        next_update_ms=next_ms,
    )
    encoded = [
        revoked_entry(serial.to_bytes((serial.bit_length() + 7) // 8), at_ms, reason)
        for serial, at_ms, reason in entries
    ]
    ours = certificate_list(head, encoded, theirs.signature)
    assert ours == theirs.public_bytes(serialization.Encoding.DER)


moments = st.integers(1_000_000_000_000, 4_000_000_000_000)
entries = st.tuples(st.integers(1, 2**159 - 1), moments, st.sampled_from(list(RevocationReason)))


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(0, 2**63 - 1),
    this_ms=moments,
    listed=st.lists(entries, max_size=12, unique_by=lambda entry: entry[0]),
)
def test_ours_is_theirs_to_the_byte(number: int, this_ms: int, listed: list[Entry]) -> None:
    assert_same_as_theirs(number, this_ms, this_ms + 86_400_000, listed)


@pytest.mark.parametrize("at_ms", [Y2049_MS, Y2050_MS])
@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 0xFF, 0x100, 2**159 - 1])
def test_edges_of_time_and_number(serial: int, at_ms: int) -> None:
    entry = (serial, at_ms, RevocationReason.SUPERSEDED)
    assert_same_as_theirs(serial % 2**63, at_ms, at_ms + 1_000, [entry])


def test_a_list_of_lengths_beyond_64_kib() -> None:
    first, reason = 2**150, RevocationReason.CERTIFICATE_HOLD
    listed = [(n, Y2049_MS, reason) for n in range(first, first + 1500)]
    assert_same_as_theirs(7, Y2049_MS, Y2050_MS, listed)
