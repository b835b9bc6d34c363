"""Statements: signed for one purpose, by the key that the purpose has, and for no other."""

from __future__ import annotations

import hashlib

import pytest

from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.wire.statement import (
    Domain,
    StatementError,
    StatementFault,
    statement_bytes,
    verify_statement,
)

DOCUMENT = b"a million cards"
OWN = {Domain.CARD_BATCH, Domain.KEY_AUDIT, Domain.KEY_CEREMONY, Domain.KEY_SUCCESSION}


@pytest.fixture
def module(any_module: SecurityModule) -> SecurityModule:
    """Run what follows with every backend."""
    return any_module


def signed(module: SecurityModule, domain: Domain) -> c.StatementSignature:
    digest = hashlib.sha256(DOCUMENT).digest()
    answer = module.execute(c.SignStatement(domain=domain.value, document_sha256=digest))
    assert isinstance(answer, c.StatementSignature)
    return answer


def point(module: SecurityModule, key: SigningKey) -> bytes:
    answer = module.execute(c.GetPublicKeys())
    assert isinstance(answer, c.PublicKeys)
    return answer.active_point(key.value)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain not in OWN])
def test_a_signature_is_good_for_its_own_purpose_alone(
    module: SecurityModule, domain: Domain
) -> None:
    signature = signed(module, domain)
    key = SigningKey.JOURNAL if domain is Domain.CHECKPOINT else SigningKey.CONTENT
    public = point(module, key)
    verify_statement(domain, DOCUMENT, signature.key_id, signature.signature, public)
    for other in set(Domain) - {domain}:
        with pytest.raises(StatementError) as caught:
            verify_statement(other, DOCUMENT, signature.key_id, signature.signature, public)
        assert caught.value.fault is StatementFault.SIGNATURE_WRONG


@pytest.mark.parametrize("domain", [*(one.value for one in OWN), "", "block", "Passport"])
def test_no_client_has_the_services_own_documents_signed(
    module: SecurityModule, domain: str
) -> None:
    with pytest.raises(CommandRefused, match="domain is none of: checkpoint, stop-list") as caught:
        module.execute(c.SignStatement(domain=domain, document_sha256=bytes(32)))
    assert caught.value.code is c.Refusal.BAD_ARGUMENT


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"document": DOCUMENT + b"!"}, StatementFault.SIGNATURE_WRONG),
        ({"signature": bytes(64)}, StatementFault.SIGNATURE_WRONG),
        ({"signature": b""}, StatementFault.SIGNATURE_WRONG),
        ({"key_id": bytes(8)}, StatementFault.KEY_OTHER),
    ],
)
def test_what_does_not_verify(
    module: SecurityModule, change: dict[str, bytes], fault: StatementFault
) -> None:
    made = signed(module, Domain.STOP_LIST)
    parts = {"document": DOCUMENT, "key_id": made.key_id, "signature": made.signature} | change
    with pytest.raises(StatementError) as caught:
        verify_statement(Domain.STOP_LIST, **parts, public_key=point(module, SigningKey.CONTENT))
    assert caught.value.fault is fault


def test_the_statement_is_56_bytes_and_tagged() -> None:
    statement = statement_bytes(Domain.STOP_LIST, b"k" * 8, b"d" * 32)
    assert statement == b"spk/stop-list\x01\0\0" + b"k" * 8 + b"d" * 32
    assert all(len(f"spk/{domain.value}") < 16 for domain in Domain)


def test_challenges_are_fresh(module: SecurityModule) -> None:
    drawn = [module.execute(c.DrawChallenge()) for _ in range(3)]
    challenges = {one.challenge for one in drawn if isinstance(one, c.Challenge)}
    assert {len(one) for one in challenges} == {32}
    assert len(challenges) == 3
