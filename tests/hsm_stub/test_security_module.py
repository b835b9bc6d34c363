"""What the module derives, signs, authenticates and counts."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from hsm_stub.backends.signer import BackendSigner
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.card_admin import CARD_AUTHENTICATION_LIFETIME_MS, CARD_AUTHENTICATIONS_MAX
from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.key_material import KeyMaterial, new_key_material
from hsm_stub.keyring import KEY_NAMES, SigningKey
from hsm_stub.security_module import SecurityModule, low_s
from processing.wire.receipt import block_statement
from tests.hsm_stub.examples import GUID, certificate_command
from tests.hsm_stub.running import NOW_MS, HandClock

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def module(any_module: SecurityModule) -> SecurityModule:
    """Run what follows with every backend."""
    return any_module


class Card:
    """The card's side of 9B mutual authentication (SP 800-73-5 part 2 §3.2.4)."""

    def __init__(self, key: bytes) -> None:
        # One block, as the standard has it.
        self._cipher = Cipher(AES(key), ECB())  # noqa: S305
        self.witness = bytes(range(16))

    def witness_ciphertext(self) -> bytes:
        return self._cipher.encryptor().update(self.witness)

    def respond(self, started: c.CardAdminStarted) -> bytes:
        assert started.witness == self.witness
        return self._cipher.encryptor().update(started.challenge)


def card_key(module: SecurityModule, version: int = 1) -> bytes:
    answer = module.execute(c.DeriveCardAdminKey(card_guid=GUID, version=version))
    assert isinstance(answer, c.CardAdminKey)
    return answer.key


def test_channel_keys_come_with_the_9b_key_when_asked(module: SecurityModule) -> None:
    alone = c.DeriveCardAdminKey(card_guid=GUID, version=1)
    plain, both = (
        module.execute(msgspec.structs.replace(alone, channel=channel)) for channel in (False, True)
    )
    assert isinstance(plain, c.CardAdminKey)
    assert isinstance(both, c.CardAdminKey)
    assert (plain.key, plain.channel) == (both.key, b"")
    assert len(both.channel) == c.CARD_CHANNEL_KEYS_BYTES
    assert both.key not in both.channel


def begin(module: SecurityModule, card: Card, version: int = 1) -> c.CardAdminStarted:
    command = c.BeginCardAdmin(
        card_guid=GUID, version=version, witness_ciphertext=card.witness_ciphertext()
    )
    answer = module.execute(command)
    assert isinstance(answer, c.CardAdminStarted)
    return answer


def finish(module: SecurityModule, handle: bytes, response: bytes) -> c.Refusal | None:
    try:
        module.execute(c.FinishCardAdmin(handle=handle, response=response))
    except CommandRefused as refused:
        return refused.code
    return None


def open_count(module: SecurityModule) -> int:
    answer = module.execute(c.GetStatus())
    assert isinstance(answer, c.Status)
    return answer.card_authentications_open


def test_right_card_authenticates_once(module: SecurityModule) -> None:
    card = Card(card_key(module))
    started = begin(module, card)
    response = card.respond(started)
    assert finish(module, started.handle, response) is None
    assert finish(module, started.handle, response) is c.Refusal.HANDLE_UNKNOWN


def test_wrong_response_uses_the_handle_up(module: SecurityModule) -> None:
    card = Card(card_key(module))
    started = begin(module, card)
    assert finish(module, started.handle, bytes(16)) is c.Refusal.CARD_NOT_AUTHENTICATED
    assert finish(module, started.handle, card.respond(started)) is c.Refusal.HANDLE_UNKNOWN


def test_echo_of_the_challenge_does_not_authenticate(module: SecurityModule) -> None:
    started = begin(module, Card(card_key(module)))
    code = finish(module, started.handle, started.challenge)
    assert code is c.Refusal.CARD_NOT_AUTHENTICATED


def test_card_with_another_version_of_the_key_fails(module: SecurityModule) -> None:
    card = Card(card_key(module, version=1))
    started = begin(module, card, version=2)
    assert started.witness != card.witness
    card.witness = started.witness
    code = finish(module, started.handle, card.respond(started))
    assert code is c.Refusal.CARD_NOT_AUTHENTICATED


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [
        (CARD_AUTHENTICATION_LIFETIME_MS - 1, None),
        (CARD_AUTHENTICATION_LIFETIME_MS, c.Refusal.HANDLE_UNKNOWN),
    ],
)
def test_handle_expires(
    module: SecurityModule, clock: HandClock, age_ms: int, expected: c.Refusal | None
) -> None:
    card = Card(card_key(module))
    started = begin(module, card)
    clock.now_ms += age_ms
    assert finish(module, started.handle, card.respond(started)) is expected
    assert open_count(module) == 0


def test_open_authentications_are_limited(module: SecurityModule, clock: HandClock) -> None:
    card = Card(card_key(module))
    for _ in range(CARD_AUTHENTICATIONS_MAX):
        begin(module, card)
    with pytest.raises(CommandRefused, match="64 card authentications are open") as caught:
        begin(module, card)
    assert caught.value.code is c.Refusal.BUSY
    clock.now_ms += CARD_AUTHENTICATION_LIFETIME_MS
    begin(module, card)
    assert open_count(module) == 1


def test_two_authentications_do_not_mix(module: SecurityModule) -> None:
    card = Card(card_key(module))
    first, second = begin(module, card), begin(module, card)
    assert finish(module, second.handle, card.respond(second)) is None
    assert finish(module, first.handle, card.respond(first)) is None


def test_keys_differ_by_every_input(module: SecurityModule) -> None:
    other = new_key_material("77", NOW_MS)
    keys = [
        terminal_key(module, "00000001", 0),
        terminal_key(module, "00000001", 1),
        terminal_key(module, "00000002", 0),
        terminal_key(SecurityModule(SoftwareBackend(other), lambda: 0), "00000001", 0),
        card_key(module, 0)[:16],
        card_key(module, 1)[:16],
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}
    assert terminal_key(module, "00000001", 0) == keys[0]
    assert len(card_key(module)) == 24


def exchange_key(module: SecurityModule, exchange_id: int) -> bytes:
    answer = module.execute(c.DeriveExchangeKey(terminal_id="00000001", exchange_id=exchange_id))
    assert isinstance(answer, c.ExchangeKey)
    return answer.key


def test_a_wrapped_key_opens_under_its_exchange_key_alone(module: SecurityModule) -> None:
    command = c.WrapTerminalKey(terminal_id="00000001", key_id=2, exchange_id=1)
    answer = module.execute(command)
    assert isinstance(answer, c.WrappedKey)
    assert module.execute(command) == answer
    opened = aes_key_unwrap(exchange_key(module, 1), answer.wrapped)
    assert opened == terminal_key(module, "00000001", 2)
    with pytest.raises(InvalidUnwrap):
        aes_key_unwrap(exchange_key(module, 2), answer.wrapped)


def terminal_key(module: SecurityModule, terminal_id: str, key_id: int) -> bytes:
    answer = module.execute(c.DeriveTerminalKey(terminal_id=terminal_id, key_id=key_id))
    assert isinstance(answer, c.TerminalKey)
    return answer.key


def test_receipt_signatures_verify_and_are_low_s(module: SecurityModule) -> None:
    public = module.execute(c.GetPublicKeys())
    assert isinstance(public, c.PublicKeys)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.receipt_key)
    for block in range(24):
        signed = module.execute(
            c.SignReceiptBlock(
                lane=3, block=block, leaf_count=7, signed_at_ms=NOW_MS, root=b"r" * 32
            )
        )
        assert isinstance(signed, c.BlockSignature)
        assert signed.key_id == public.receipt_key_id
        r, s = (int.from_bytes(signed.signature[i : i + 32]) for i in (0, 32))
        assert 0 < s <= ORDER // 2
        statement = block_statement(signed.key_id, 3, block, 7, NOW_MS, b"r" * 32)
        key.verify(encode_dss_signature(r, s), statement, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("s", "expected"),
    [(1, 1), (ORDER // 2, ORDER // 2), (ORDER // 2 + 1, ORDER // 2), (ORDER - 1, 1)],
)
def test_low_s(s: int, expected: int) -> None:
    assert low_s(b"r" * 32 + s.to_bytes(32)) == b"r" * 32 + expected.to_bytes(32)


def test_uses_are_counted_by_key_and_purpose(module: SecurityModule, clock: HandClock) -> None:
    card = Card(card_key(module))
    card_key(module)
    begin(module, card)
    terminal_key(module, "00000001", 1)
    exchange_key(module, 1)
    module.execute(c.WrapTerminalKey(terminal_id="00000001", key_id=2, exchange_id=1))
    module.execute(certificate_command(c.CertificateSlot.AUTHENTICATION))
    module.execute(
        c.SignReceiptBlock(lane=0, block=0, leaf_count=1, signed_at_ms=0, root=bytes(32))
    )
    clock.now_ms += 5_000
    status = module.execute(c.GetStatus(), 4)
    assert isinstance(status, c.Status)
    uses = [(use.key, use.purpose, use.uses) for use in status.key_uses]
    assert uses == [
        ("card master", "authenticate card", 1),
        ("card master", "export card 9B key", 2),
        ("issuing CA", "sign card certificate", 1),
        ("receipt signing", "sign receipt block", 1),
        ("terminal master", "derive terminal key", 1),
        ("terminal master", "export exchange key", 1),
        ("terminal master", "wrap terminal key", 1),
    ]
    assert (status.backend in {"software", "pkcs11"}, status.region_code) == (True, "77")
    assert (status.uptime_ms, status.connections) == (5_000, 4)


def test_the_issuing_key_signs_nothing_but_sha256_and_is_never_read(material: KeyMaterial) -> None:
    entry = material.ring.active(SigningKey.ISSUING_CA)
    signer = BackendSigner(SoftwareBackend(material), entry)
    with pytest.raises(ValueError, match="SHA-256 only"):
        signer.sign(b"data", ec.ECDSA(hashes.SHA384()))
    with pytest.raises(ValueError, match="cannot be read"):
        signer.private_numbers()
    with pytest.raises(ValueError, match="no key agreement"):
        signer.exchange(ec.ECDH(), signer.public_key())


def test_new_keys_are_all_different() -> None:
    first, second = new_key_material("00", NOW_MS), new_key_material("00", NOW_MS)
    secrets = [one.secret for keys in (first, second) for one in keys.secrets]
    assert len(set(secrets)) == len(secrets) == 2 * len(KEY_NAMES)


@pytest.mark.parametrize("region", ["", "7", "777", "7a", "77\n"])
def test_region_code_has_two_digits(region: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"region_code"):
        new_key_material(region, NOW_MS)
