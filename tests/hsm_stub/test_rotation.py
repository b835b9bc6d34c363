"""Rotation: what the old generation made goes on; each state is for what it is for, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from hsm_stub.backends.backend import KeyStore
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.commands import KeyState
from hsm_stub.errors import CommandRefused, RotationRefused, WrongPassphrase
from hsm_stub.key_file import KeyFile
from hsm_stub.key_material import KeyMaterial
from hsm_stub.keyring import MasterKey, SigningKey
from hsm_stub.keystore import create_key_file
from hsm_stub.rotation import rotate, set_state
from hsm_stub.security_module import SecurityModule
from processing.wire.statement import Domain, verify_statement
from processing.wire.trust_list import succession_document
from tests.hsm_stub.examples import GUID, certificate_command
from tests.hsm_stub.running import LIGHT_SCRYPT, NOW_MS, PASSPHRASE


@pytest.fixture
def store(key_file: Path) -> KeyFile:
    return KeyFile.opened(key_file, PASSPHRASE)


def module_of(store: KeyFile) -> SecurityModule:
    return SecurityModule(SoftwareBackend(store.material), lambda: 0)


def card_key(module: SecurityModule, master: int) -> tuple[bytes, int]:
    answer = module.execute(c.DeriveCardAdminKey(card_guid=GUID, version=1, master=master))
    assert isinstance(answer, c.CardAdminKey)
    return answer.key, answer.master


def refusal(module: SecurityModule, command: c.Command) -> c.Refusal:
    with pytest.raises(CommandRefused) as caught:
        module.execute(command)
    return caught.value.code


def test_cards_of_the_first_generation_live_on(store: KeyFile) -> None:
    first = card_key(module_of(store), 0)
    rotate(store, MasterKey.CARD, NOW_MS)
    after = module_of(store)
    assert card_key(after, 1) == first
    key, master = card_key(after, 0)
    assert (master, card_key(after, 2)) == (2, (key, 2))
    assert key != first[0]


def test_a_retired_generation_refuses_and_may_come_back(store: KeyFile) -> None:
    first = card_key(module_of(store), 1)
    rotate(store, MasterKey.CARD, NOW_MS)
    ask = c.DeriveCardAdminKey(card_guid=GUID, version=1, master=1)
    set_state(store, MasterKey.CARD, 1, KeyState.RETIRED)
    assert refusal(module_of(store), ask) is c.Refusal.KEY_RETIRED
    set_state(store, MasterKey.CARD, 1, KeyState.RETIRING)
    assert card_key(module_of(store), 1) == first


def test_a_destroyed_generation_is_gone_from_the_disk(store: KeyFile, key_file: Path) -> None:
    rotate(store, MasterKey.TERMINAL, NOW_MS)
    set_state(store, MasterKey.TERMINAL, 1, KeyState.RETIRED)
    set_state(store, MasterKey.TERMINAL, 1, KeyState.DESTROYED)
    again = KeyFile.opened(key_file, PASSPHRASE)
    with pytest.raises(KeyError):
        again.material.secret_of(MasterKey.TERMINAL, 1)
    ask = c.DeriveTerminalKey(terminal_id="00000001", key_id=1, master=1)
    assert refusal(module_of(again), ask) is c.Refusal.KEY_RETIRED
    unknown = c.DeriveTerminalKey(terminal_id="00000001", key_id=1, master=9)
    assert refusal(module_of(again), unknown) is c.Refusal.KEY_UNKNOWN


def test_a_new_ca_issues_and_the_old_one_still_speaks_of_its_cards(store: KeyFile) -> None:
    command = certificate_command(c.CertificateSlot.AUTHENTICATION)
    old = module_of(store).execute(command)
    rotate(store, SigningKey.ISSUING_CA, NOW_MS)
    module = module_of(store)
    new, public = module.execute(command), module.execute(c.GetPublicKeys())
    assert isinstance(old, c.Certificate)
    assert isinstance(new, c.Certificate)
    assert isinstance(public, c.PublicKeys)
    now, before = (x509.load_der_x509_certificate(d) for d in public.issuing_certificates_in_use)
    x509.load_der_x509_certificate(new.der).verify_directly_issued_by(now)
    x509.load_der_x509_certificate(old.der).verify_directly_issued_by(before)
    assert now.subject != before.subject
    key_id = before.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    told = c.SignOcsp(
        issuer_key_id=key_id,
        serial=b"\x01",
        status=c.CertificateStatus.GOOD,
        this_update_ms=NOW_MS,
        next_update_ms=NOW_MS + 1000,
    )
    assert isinstance(module.execute(told), c.OcspAnswer)
    set_state(store, SigningKey.ISSUING_CA, 1, KeyState.RETIRED)
    assert refusal(module_of(store), told) is c.Refusal.KEY_RETIRED
    retired = module_of(store).execute(c.GetPublicKeys())
    assert isinstance(retired, c.PublicKeys)
    assert (len(retired.issuing_certificates), retired.issuing_in_use) == (2, 1)


def assert_vouched_for(store: KeyStore) -> None:
    """Rotate every signing key; each generation is signed by the one before."""
    for key in SigningKey:
        before, made = rotate(store, key, NOW_MS)
        document = succession_document(key.value, made.generation, made.public_point)
        verify_statement(
            Domain.KEY_SUCCESSION, document, before.key_id, made.endorsement, before.public_point
        )


def test_each_generation_vouches_for_the_next(store: KeyFile) -> None:
    assert {entry.endorsement for entry in store.ring.entries} == {b""}
    assert_vouched_for(store)
    assert_vouched_for(store)


@pytest.mark.parametrize(
    ("generation", "state", "message"),
    [
        (2, KeyState.RETIRED, "is active; only one that is retiring can become retired"),
        (1, KeyState.DESTROYED, "is retiring; only one that is retired can become destroyed"),
        (1, KeyState.ACTIVE, "only one that is none can become active"),
        (3, KeyState.RETIRED, "there is no generation 3"),
    ],
)
def test_states_come_in_their_order(
    store: KeyFile, generation: int, state: KeyState, message: str
) -> None:
    rotate(store, MasterKey.CARD, NOW_MS)
    before = store.material
    with pytest.raises(RotationRefused, match=message):
        set_state(store, MasterKey.CARD, generation, state)
    assert store.material == before


def test_there_are_255_generations(short_tmp: Path, material: KeyMaterial) -> None:
    path = short_tmp / "many.spk"
    create_key_file(path, material, PASSPHRASE, LIGHT_SCRYPT)
    store = KeyFile.opened(path, PASSPHRASE)
    for _ in range(254):
        rotate(store, MasterKey.CARD, NOW_MS)
    with pytest.raises(RotationRefused, match="in its last generation"):
        rotate(store, MasterKey.CARD, NOW_MS)


def test_a_service_reads_the_file_again_under_the_same_passphrase_only(
    store: KeyFile, key_file: Path, material: KeyMaterial
) -> None:
    other = KeyFile.opened(key_file, PASSPHRASE)
    rotate(other, MasterKey.CARD, NOW_MS)
    assert store.read_again().ring.active(MasterKey.CARD).generation == 2
    key_file.unlink()
    create_key_file(key_file, material, "another passphrase", LIGHT_SCRYPT)
    with pytest.raises(WrongPassphrase, match="start the service anew"):
        store.read_again()
